"""Which columns of obs say what was done to a cell, and what is known of it beside.

A file may say so itself, in uns["fields"] (perturbation, control, dose, covariates); flags win over
the file, and what neither says is found by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.anndata import reading
from epistax.distributed.formats.roles import LABELS, Held
from epistax.distributed.formats.where import listed
from epistax.distributed.options.response import CellOptions

COVARIATES = ("cell_type", "celltype", "cell_line", "donor")
NONE = "none"  # the word for: no covariate


@dataclass(frozen=True)
class Columns:
    """Names of columns of obs by what they mean."""

    perturbation: str
    control: str | None  # 1 of a control cell
    dose: str | None
    covariates: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is read, once."""
        used = (self.perturbation, self.control, self.dose, *self.covariates)
        return tuple(dict.fromkeys(name for name in used if name is not None))

    def told(self) -> str:
        """`perturbation condition; dose dose; covariates cell_type, donor`."""
        parts = [
            ("perturbation", self.perturbation),
            ("control", self.control),
            ("dose", self.dose),
        ]
        parts += [("covariates", ", ".join(self.covariates) or NONE)]
        return "; ".join(f"{role} {name}" for role, name in parts if name)


def choose(held: Held, options: CellOptions, fields: Mapping[str, Any]) -> Columns:
    """The columns of a file. BadInput without labels, and for one that is not there."""

    def one(given: str | None, flag: str, role: str, known: tuple[str, ...]) -> str | None:
        if given is not None:
            return held.named(given, flag)
        said = fields.get(role)
        if said:
            return held.named(str(said), f'uns["fields"][{role!r}]')
        return held.first(known)

    label = one(options.perturbation_col, "--perturbation-col", "perturbation", LABELS)
    if label is None:
        has = listed([repr(name) for name in held.names])
        raise BadInput(
            f"{held.source}: has no obs column of labels ({', '.join(LABELS)}); it has {has}: name "
            "one with --perturbation-col"
        )
    control = one(options.control_col, "--control-col", "control", ())
    dose = one(options.dose_col, "--dose-col", "dose", ("dose",))
    return Columns(label, control, dose, covariates(held, options, fields))


def covariates(held: Held, options: CellOptions, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """What cells are told apart by beside their perturbation."""
    if options.covariate == (NONE,):
        return ()
    if options.covariate:
        return tuple(dict.fromkeys(held.named(n, "--covariate") for n in options.covariate))
    if "covariates" in fields:
        said = fields["covariates"]
        names = [said] if isinstance(said, str) else [str(name) for name in said]
        return tuple(held.named(name, 'uns["fields"]["covariates"]') for name in names)
    return tuple(name for name in COVARIATES if held.known(name) is not None)


def fields_of(source: str, root: Any) -> tuple[dict[str, Any], str | None]:
    """What uns says of columns, and of the values: counts, log, or nothing."""
    from anndata.io import read_elem

    uns = root.get("uns") if hasattr(root, "get") else None
    if uns is None:
        return {}, None
    with reading(source, "uns"):
        found = read_elem(uns["fields"]) if "fields" in uns else {}
        values = read_elem(uns["values"]) if "values" in uns else None
    fields = dict(found) if isinstance(found, Mapping) else {}
    if "covariates" in fields and not isinstance(fields["covariates"], str):
        fields["covariates"] = [str(name) for name in fields["covariates"]]
    return fields, str(values) if isinstance(values, str) else None
