"""The door: `epistax VERB ...`. Parse, call, print; nothing else.

A verb's module is imported when the verb runs, so that help and usage errors wait for nothing.
Exit codes: 0 done, 2 bad input or usage, 3 done but some pairs are listed as failed, 75 stopped
and resumable.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import signal
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from epistax.distributed.errors import BadInput, Stopped
from epistax.distributed.flags import Spec, build, did_you_mean, specs
from epistax.distributed.options import VERBS, Options

DONE, BAD, FAILED_PAIRS, RESUMABLE = 0, 2, 3, 75


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the return value is the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = ""
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(overview())
            return DONE
        if words[0] in ("-V", "--version"):
            print(versions())
            return DONE
        if words[1:] and words[1] in ("-h", "--help") and words[0] not in VERBS and steps(words[0]):
            print(family(words[0]))
            return DONE
        name, rest = split(words)
        options = parse(VERBS[name], rest)
        return run(options)
    except BadInput as problem:
        return complain(name, str(problem))
    except BrokenPipeError:  # the reader of our output left, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def run(options: Options) -> int:
    """Call the verb and print its summary."""
    module_name, _, function = options.verb.partition(" ")
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        name = module_name.replace("-", "_")
        module = importlib.import_module(f"epistax.distributed.verbs.{name}")
        result = getattr(module, function or "run")(options)
        return show(result, options, getattr(module, "describe", None))
    except (Stopped, KeyboardInterrupt) as stop:
        return stopped(options, str(stop))
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """A polite kill is an interrupt: blocks close, and the exit code is 75."""
    raise KeyboardInterrupt


def show(result: Any, options: Options, describe: Any) -> int:
    """A summary (or several, as they come) as JSON, or as the verb describes it."""
    from epistax.distributed.following import next_step
    from epistax.distributed.record import dumps

    if isinstance(result, Iterator) and options.json:
        for record in result:
            print(dumps(record, indent=None), flush=True)
        return DONE
    result = list(result) if isinstance(result, Iterator) else result
    if options.json:
        print(dumps(result))
    else:
        told = describe(result) if describe else outline(json.loads(dumps(result)))
        print("\n".join(filter(None, (told, next_step(options, result)))))
    if not isinstance(result, dict):
        return DONE
    return int(result.get("exit_code", FAILED_PAIRS if result.get("n_failed") else DONE))


def outline(value: Any, indent: str = "") -> str:
    """A summary as indented `name: value` lines."""
    if not isinstance(value, dict):
        return f"{indent}{value}"
    lines = []
    for name, entry in value.items():
        nested = isinstance(entry, dict) and entry
        lines.append(f"{indent}{name}:" if nested else f"{indent}{name}: {entry}")
        lines += [outline(entry, indent + "  ")] if nested else []
    return "\n".join(lines)


def stopped(options: Options, message: str) -> int:
    """Say how to go on, where there is something to go on with."""
    out = getattr(options, "out", None)
    remedy = ""
    if out and (Path(out) / "run.json").is_file():
        remedy = "; the same command with --resume goes on"
    detail = f"stopped: {message}" if message else "stopped"
    print(f"epistax {options.verb}: {detail}{remedy}", file=sys.stderr)
    return RESUMABLE


def complain(verb: str, message: str) -> int:
    """One line for the user."""
    line = " ".join(message.split())
    print(f"epistax {verb}: {line}" if verb else f"epistax: {line}", file=sys.stderr)
    return BAD


def split(words: Sequence[str]) -> tuple[str, list[str]]:
    """The verb, of one word or two, and its arguments."""
    for count in (2, 1):
        name = " ".join(words[:count])
        if len(words) >= count and name in VERBS:
            return name, list(words[count:])
    if steps(words[0]):
        raise BadInput(f"{words[0]} needs one of {', '.join(steps(words[0]))}")
    raise BadInput(
        f"{words[0]!r} is not one of {', '.join(VERBS)}{did_you_mean(words[0], VERBS)}; "
        "epistax --help lists them"
    )


def steps(first: str) -> list[str]:
    """The second words of the verbs that begin with this one."""
    return [name.split()[1] for name in VERBS if name.startswith(first + " ")]


def parse(cls: type[Options], words: Sequence[str]) -> Options:
    """The options of a verb: flags first, then the file of --config, then the defaults."""
    known = specs(cls)
    own, tail = list(words), []
    if "words" in known and "--" in own:  # what follows is another command, not ours to parse
        tail = own[own.index("--") + 1 :]
        own = own[: own.index("--")]
    given = vars(parser(cls).parse_intermixed_args(own))
    raw = {name: value for name, value in given.items() if value != []}
    raw |= {"words": tail} if tail else {}
    file = raw.get("config")
    written = {} if file is None else read_config(file, known)
    places = {name: f"{file}: {name}" for name in written.keys() - raw.keys()}
    return build(cls, written | raw, lambda spec: places.get(spec.field, spec.shown))


def read_config(path: str, known: dict[str, Spec]) -> dict[str, Any]:
    """Options by name from a TOML file; - and _ are one."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"--config: {path}: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"--config: {path} is not TOML: {error}") from None
    table = {name.replace("-", "_"): value for name, value in table.items()}
    for name in table:
        if name not in known or name == "config":
            raise BadInput(f"{path}: {name} is not an option here{did_you_mean(name, known)}")
    return table


class Parser(argparse.ArgumentParser):
    """argparse, with one-line complaints that the door prints."""

    bare: Mapping[str, str] = {}  # what is given without a flag: how help writes it, by field

    def error(self, message: str) -> NoReturn:
        """Argparse's own complaints: unknown flags, and flags without a value."""
        unknown, _, words = message.partition("unrecognized arguments: ")
        if words and not unknown:
            first = words.split()[0]
            if first.startswith("--") and first[2:] in self.bare:
                raise BadInput(f"{first}: {self.bare[first[2:]]} is given without a flag")
            close = did_you_mean(first, self._option_string_actions)
            raise BadInput(f"{first} is not an option here{close}")
        raise BadInput(message.removeprefix("argument "))


def parser(cls: type[Options]) -> argparse.ArgumentParser:
    """The flags of a verb. Values stay text: `build` checks them with one wording."""
    table = specs(cls)
    required = [
        s.shown if s.default is MISSING else f"[{s.shown}]"
        for s in table.values()
        if s.flag.positional
    ]
    required += [
        f"{s.shown} {s.flag.metavar}"
        for s in table.values()
        if s.default is MISSING and not s.flag.positional
    ]
    result = Parser(
        prog=f"epistax {cls.verb}",
        usage=" ".join([f"epistax {cls.verb}", *required, "[options]"]),
        description=headline(cls),
        epilog=f"example:\n  {cls.example}",
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=26, width=98
        ),
        allow_abbrev=False,
    )
    result.bare = {s.field.replace("_", "-"): s.shown for s in table.values() if s.flag.positional}
    groups: dict[str, Any] = {"": result}
    for spec in table.values():
        title = spec.flag.group
        if title not in groups:
            groups[title] = result.add_argument_group(title)
        add(groups[title], spec)
    return result


def add(group: Any, spec: Spec) -> None:
    """One flag or positional; absent means absent, so that a config file can speak."""
    about: dict[str, Any] = {"help": explain(spec), "default": argparse.SUPPRESS}
    if spec.flag.positional:
        metavar = spec.shown
        group.add_argument(spec.field, nargs="*" if spec.repeat else "?", metavar=metavar, **about)
        return
    about["dest"] = spec.field
    if spec.kind is bool:
        group.add_argument(spec.shown, action="store_true", **about)
    else:
        about["metavar"] = spec.flag.metavar
        group.add_argument(spec.shown, action="append" if spec.repeat else "store", **about)


def explain(spec: Spec) -> str:
    """Help with choices and default, escaped for argparse."""
    text = spec.flag.help.replace("{choices}", ", ".join(spec.flag.choices))
    default = spec.default
    if spec.flag.auto:
        text += f" (default: {spec.flag.auto})"
    elif isinstance(default, tuple) and default:
        text += f" (default: {','.join(map(str, default))})"
    elif isinstance(default, str | int | float) and not isinstance(default, bool):
        text += f" (default: {default})"
    return text.replace("%", "%%")


def headline(cls: type) -> str:
    """The first line of a verb's docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0]


def overview() -> str:
    """`epistax --help`: the verbs, one line each."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {headline(cls)}" for name, cls in VERBS.items()]
    return textwrap.dedent("""\
        usage: epistax VERB [options]

        Find pairwise interactions between perturbations and choose which pairs to test next.

        {verbs}

        epistax VERB --help shows a verb's options and an example; epistax --version the versions.
        """).format(verbs="\n".join(lines))


def family(first: str) -> str:
    """`epistax effects --help`: verbs of two words, with an example each."""
    found = [VERBS[f"{first} {second}"] for second in steps(first)]
    lines = [f"  {cls.verb}\n    {headline(cls)}\n    {cls.example}\n" for cls in found]
    usage = f"usage: epistax {first} {'|'.join(steps(first))} [options]"
    return "\n".join([usage, "", *lines, f"epistax {first} {steps(first)[0]} --help and so on show "
                      "all options."])  # fmt: skip


def versions() -> str:
    """Ours, Python's and JAX's, and the device, without importing anything heavy."""
    from epistax.distributed.machine import device

    jax = importlib.metadata.version("jax")
    ours = importlib.metadata.version("epistax")
    return f"epistax {ours}, python {platform.python_version()}, jax {jax}; device {device()}"


if __name__ == "__main__":
    sys.exit(main())
