"""Completion in bash, zsh and fish, written from the options of the verbs: nothing runs at a key.

A word is a verb, its second word, an option of it or a value of that option; where none of these
is asked for the shell offers files.
"""

from collections.abc import Mapping

from epistax.distributed.flags import Spec, specs
from epistax.distributed.options.shared import Options

Verbs = Mapping[str, type[Options]]

BASH = """\
_epistax() {
  local given=() word n=-1 value="" cur prev verb="" wanted=""
  # words as the user wrote them: readline breaks them at : and =
  for word in "${COMP_WORDS[@]:0:$((COMP_CWORD+1))}"; do
    if [[ $word == "=" ]] && ((n > 0)); then n=$((n + 1)); given[n]=""; value=1
    elif [[ $value ]]; then given[n]=$word; value=""
    elif ((n > 0)) && [[ $word == :* || ${given[n]} == *: ]]; then given[n]+=$word
    else n=$((n + 1)); given[n]=$word
    fi
  done
  COMPREPLY=()
  ((n > 0)) || return
  cur=${given[n]}
  prev=${given[n-1]}
  verb=${given[1]}
  ((n > 2)) && case "$verb ${given[2]}" in
    %(double)s) verb="$verb ${given[2]}" ;;
  esac
  case "$n $verb" in
    "1 "*) wanted="%(first)s" ;;
%(second)s
  esac
  if [[ -z $wanted ]]; then
    case "$verb $prev" in
%(values)s
      *)
        if [[ $cur == -* ]]; then
          case "$verb" in
%(options)s
          esac
        else
          case "$verb" in
%(places)s
          esac
        fi ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$wanted" -- "$cur"))
  # readline replaces only what follows the last :
  [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]] && COMPREPLY=("${COMPREPLY[@]#"${cur%%:*}:"}")
  return 0
}
complete -o default -F _epistax epistax
"""
ZSH = """\
#compdef epistax
autoload -U +X compinit && (( $+functions[compdef] )) || compinit
autoload -U +X bashcompinit && bashcompinit
"""
FISH = """\
function __epistax_is
    set -l given (commandline -opc)[2..]
    string match -q -- "$argv *" "$given "
end
complete -c epistax -f -n 'test (count (commandline -opc)) -eq 1' -l help -d 'list the verbs'
complete -c epistax -f -n 'test (count (commandline -opc)) -eq 1' -l version -d 'show versions'
"""


def bash(verbs: Verbs) -> str:
    """For bash: one function."""
    tables = {name: specs(cls) for name, cls in verbs.items()}
    first = [*dict.fromkeys(name.split()[0] for name in verbs), "--help", "--version"]
    families = {name.split()[0] for name in verbs if " " in name}
    places = {
        name: spec.flag.choices
        for name, table in tables.items()
        for spec in table.values()
        if spec.flag.positional and spec.flag.choices
    }
    second = [
        case(f'"2 {one}"', [*(n.split()[1] for n in verbs if n.startswith(f"{one} ")),
                            *places.get(one, ())], 4)
        for one in sorted(families)
    ]  # fmt: skip
    values: dict[tuple[str, ...], list[str]] = {}
    for name, table in tables.items():
        for spec in table.values():
            if not spec.flag.positional and spec.kind is not bool:
                words = (*spec.flag.choices, *spec.words)
                values.setdefault(words, []).append(f'"{name} {spec.shown}"')
    options = {
        name: [*(s.shown for s in table.values() if not s.flag.positional), "--help"]
        for name, table in tables.items()
    }
    return BASH % {
        "double": " | ".join(f'"{name}"' for name in verbs if " " in name),
        "first": " ".join(first),
        "second": "\n".join(second),
        "values": "\n".join(case(" | ".join(at), words, 6) for words, at in values.items()),
        "options": "\n".join(case(f'"{name}"', words, 12) for name, words in options.items()),
        "places": "\n".join(case(f'"{name}"', words, 12) for name, words in places.items()),
    }


def case(pattern: str, words: tuple[str, ...] | list[str], indent: int) -> str:
    """One branch of a bash case."""
    return f'{" " * indent}{pattern}) wanted="{" ".join(words)}" ;;'


def zsh(verbs: Verbs) -> str:
    """For zsh: that of bash, which zsh can run."""
    return ZSH + bash(verbs)


def fish(verbs: Verbs) -> str:
    """For fish: a line a verb and option, with its help."""
    lines = []
    for name, cls in verbs.items():
        *above, last = name.split()
        at = f"__epistax_is {above[0]}; and " if above else ""
        depth = f"{at}test (count (commandline -opc)) -eq {len(above) + 1}"
        lines.append(entry(depth, f"-a {last}", (cls.__doc__ or "").splitlines()[0]))
        if above and f"-a {above[0]} " not in "\n".join(lines):
            lines.append(entry("test (count (commandline -opc)) -eq 1", f"-a {above[0]} "))
        for spec in specs(cls).values():
            lines += of_option(f"__epistax_is {name}", spec)
    return FISH + "\n".join(lines) + "\n"


def of_option(condition: str, spec: Spec) -> list[str]:
    """Lines of one option; of a positional only where it has choices."""
    words = " ".join((*spec.flag.choices, *spec.words))
    if spec.flag.positional:
        return [entry(condition, f"-a '{words}'")] if words else []
    kind = "-f" if spec.kind is bool else f"-x -a '{words}'" if words else "-r"
    text = spec.flag.help.replace("{choices}", ", ".join(spec.flag.choices))
    return [entry(condition, f"-l {spec.shown.removeprefix('--')} {kind}", text, files=True)]


def entry(condition: str, what: str, text: str = "", *, files: bool = False) -> str:
    """One `complete` of fish."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    said = f" -d '{quoted}'" if text else ""
    return f"complete -c epistax {'' if files else '-f '}-n '{condition}' {what.strip()}{said}"


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
