"""What the batches of a campaign must keep, from the options, in words for campaign.json.

A campaign has its constraints from `campaign new`; `campaign propose` may change them for one
round: figures take the place of the campaign's, lists are added to its lists. With plates a batch
is what fits on them: plates x (plate size - controls) / replicates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from epistax.distributed.campaign import lists
from epistax.distributed.errors import BadInput
from epistax.distributed.options.campaign import BatchOptions
from epistax.engine.pairs import Pairs, count, rank
from epistax.engine.policy import rules
from epistax.engine.policy.rules import Rules

Named = tuple[tuple[str, str], ...]
FIGURES = ("batch", "quota", "budget", "plate_size", "plates", "controls", "replicates")


@dataclass(frozen=True)
class Constraints:
    """Of a batch; names, so that a file of it can be read by people."""

    batch: int = 0  # distinct pairs; 0: as many as the plates hold
    quota: int | None = None
    budget: float | None = None
    plate_size: int | None = None
    plates: int | None = None
    controls: int = 0
    replicates: int = 1
    excluded: tuple[str, ...] = ()
    excluded_pairs: Named = ()
    included: Named = ()
    ordered: Named = ()
    gene_cost: tuple[tuple[str, float], ...] = ()
    pair_cost: tuple[tuple[str, str, float], ...] = ()

    @property
    def size(self) -> int:
        """Distinct pairs of a batch."""
        return self.batch or self.room

    @property
    def room(self) -> int:
        """Distinct pairs that the plates hold; 0 without plates."""
        if self.plate_size is None:
            return 0
        return (self.plates or 1) * (self.plate_size - self.controls) // self.replicates

    def as_json(self) -> dict[str, Any]:
        """What is not the default."""
        plain = asdict(self)
        return {name: value for name, value in plain.items() if value != getattr(EMPTY, name)}


EMPTY = Constraints()


def from_json(found: Mapping[str, Any]) -> Constraints:
    """The constraints that `as_json` wrote."""
    return Constraints(**{name: frozen(value) for name, value in found.items()})


def frozen(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def read(options: BatchOptions, place: lists.Place, base: Constraints = EMPTY) -> Constraints:
    """The constraints of a campaign, or of one round where base has the campaign's."""
    given = {name: getattr(options, name) for name in FIGURES}
    made = replace(base, **{name: value for name, value in given.items() if value is not None})
    if options.plate_size or options.plates:
        made = replace(made, batch=options.batch or 0)  # other plates, another batch
    if options.exclude:
        genes, pairs = lists.read_excluded(options.exclude, place)
        made = replace(
            made,
            excluded=united(made.excluded, genes),
            excluded_pairs=united(made.excluded_pairs, pairs),
        )
    if options.include:
        pairs = lists.read_pairs(options.include, place)
        made = replace(made, included=united(made.included, pairs))
    if options.ordered:
        pairs = lists.read_pairs(options.ordered, place)
        made = replace(made, ordered=united(made.ordered, pairs))
    if options.cost:
        of_genes, of_pairs = lists.read_cost(options.cost, place)
        flat = tuple((a, b, x) for (a, b), x in of_pairs.items())
        made = replace(made, gene_cost=tuple(of_genes.items()), pair_cost=flat)
    check(made, place)
    return made


def united(one: tuple[Any, ...], other: Sequence[Any]) -> tuple[Any, ...]:
    """Both lists, each entry once, in order."""
    return tuple(dict.fromkeys((*one, *other)))


def check(made: Constraints, place: lists.Place) -> None:
    """BadInput, with the figures, for what no batch can keep."""
    if made.plates and made.plate_size is None:
        raise BadInput(f"--plates: {made.plates} plates of which size? add --plate-size")
    if made.plate_size is not None and made.controls >= made.plate_size:
        raise BadInput(
            f"--controls: {made.controls} controls leave no well of a plate of {made.plate_size}"
        )
    if made.plate_size is not None and made.batch > made.room:
        plates = f"{made.plates or 1} x ({made.plate_size} - {made.controls}) / {made.replicates}"
        raise BadInput(
            f"--batch: {made.batch:,} pairs do not fit: the plates hold {plates} = {made.room:,}; "
            "give fewer, or more plates"
        )
    if not made.size:
        what = "--batch is missing: distinct pairs a round; or give --plate-size"
        if made.plate_size is not None:
            what = (
                f"--replicates: {made.replicates} wells of a pair do not fit on the plates, which "
                f"have {(made.plates or 1) * (made.plate_size - made.controls)} for pairs"
            )
        raise BadInput(what)
    both = {*made.included} & {*made.excluded_pairs}
    shut = [pair for pair in made.included if {*pair} & {*made.excluded} or pair in both]
    if shut:
        raise BadInput(f"--include: {'+'.join(shut[0])} is excluded as well; take it off one list")
    if made.budget is not None and not (made.gene_cost or made.pair_cost):
        raise BadInput(f"--budget: {made.budget:g} for what? give prices with --cost")
    kept = rules_of(made, place)
    q, most = count(int((~kept.closed).sum())), rules.most(kept)
    if not q:
        raise BadInput(f"--exclude: leaves {int((~kept.closed).sum())} genes, which make no pair")
    if made.size > most and made.quota is not None:
        genes = f"{int((~kept.closed).sum()):,} genes"
        raise BadInput(
            f"--quota: {made.quota} pairs a gene of {genes} allow {most:,} pairs a batch, not "
            f"{made.size:,}; raise it, or lower --batch"
        )
    if made.size > q:
        raise BadInput(f"--batch: {made.size:,} is more than there are pairs, {q:,}; give fewer")
    check_budget(made, kept)


def check_budget(made: Constraints, kept: Rules) -> None:
    """The budget must buy a pair; with plates, the pairs of one of them."""
    if made.budget is None:
        return
    plate = 1
    if made.plate_size is not None:
        plate = min(made.size, max(1, (made.plate_size - made.controls) // made.replicates))
    prices = rules.cheapest(kept, plate)
    need = float(prices.sum()) * made.replicates
    if need > made.budget:
        what = "the cheapest pair costs" if plate == 1 else f"the {plate:,} cheapest pairs cost"
        reason = "" if plate == 1 else ", and one plate holds as many"
        raise BadInput(
            f"--budget: {made.budget:g} is too little: {what} {need:g}{reason}; raise it"
            + (", or take smaller plates" if plate > 1 else "")
        )


def rules_of(made: Constraints, place: lists.Place, *, out: np.ndarray | None = None) -> Rules:
    """The same as arrays; out are positions of pairs that are not open, such as measured ones."""
    p = len(place)
    closed = np.zeros(p, bool)
    closed[[place[name] for name in made.excluded]] = True
    # where pairs have prices, one without cannot be bought
    price = np.full(p, np.inf if made.pair_cost and not made.gene_cost else 0.0)
    for name, cost in made.gene_cost:
        price[place[name]] = cost
    code = rank(positions([entry[:2] for entry in made.pair_cost], place), p)
    order = np.argsort(code)
    own = np.array([entry[2] for entry in made.pair_cost], float)
    shut = rank(positions(made.excluded_pairs, place), p)
    return Rules(
        size=made.size,
        price=price * made.replicates,
        closed=closed,
        barred=np.unique(shut if out is None else np.r_[shut, out]),
        quota=made.quota,
        budget=np.inf if made.budget is None else made.budget,
        priced=code[order],
        prices=own[order] * made.replicates,
    )


def positions(pairs: Sequence[Sequence[str]], place: lists.Place) -> Pairs:
    """Names as indices."""
    index = np.array([[place[a], place[b]] for a, b in pairs], np.int32).reshape(-1, 2)
    return Pairs(index[:, 0], index[:, 1])
