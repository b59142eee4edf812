"""An SVG file as part of a page: ids of its own, nothing that runs and nothing from elsewhere."""

import re
from xml.etree import ElementTree

from epistax.distributed.errors import BadInput

KEPT = {"circle", "clipPath", "defs", "ellipse", "g", "image", "line", "linearGradient", "path",
        "pattern", "polygon", "polyline", "rect", "stop", "style", "svg", "symbol", "text",
        "title", "tspan", "use"}  # fmt: skip
INSIDE = re.compile(r"url\(\s*#([^)\s]+)\s*\)")
OUTSIDE = re.compile(r"url\((?!\s*#)[^)]*\)|@import|expression|javascript:", re.IGNORECASE)
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")


def inline(source: str, data: bytes, prefix: str, label: str) -> str:
    """The element <svg> for HTML; every id begins with the prefix, the label is for readers."""
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):
        raise BadInput(f"{source}: is damaged; make the run again") from None
    if bare(root.tag) != "svg":
        raise BadInput(f"{source}: is not an SVG file; make the run again")
    clean(root, prefix)
    root.attrib |= {"id": prefix, "role": "img", "aria-label": label}
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def clean(element: ElementTree.Element, prefix: str) -> None:
    """In place: drop what is not a drawing, give ids and references the prefix."""
    element.tag = bare(element.tag)
    element.attrib = {
        name: value
        for raw, old in element.attrib.items()
        if (value := attribute(name := bare(raw), old, prefix)) is not None
    }
    if element.tag == "style":
        element.text = style(element.text or "", prefix)
    for child in list(element):
        if isinstance(child.tag, str) and bare(child.tag) in KEPT:
            clean(child, prefix)
        else:
            element.remove(child)


def attribute(name: str, value: str, prefix: str) -> str | None:
    """The value of an attribute on the page, None where it has no place there."""
    if name.lower().startswith("on") or OUTSIDE.search(value):
        return None
    if name == "id":
        return f"{prefix}.{value}"
    if name == "href":
        if value.startswith("#"):
            return f"#{prefix}.{value[1:]}"
        return value if value.startswith("data:image/png;base64,") else None
    return INSIDE.sub(rf"url(#{prefix}.\1)", value)


def style(text: str, prefix: str) -> str:
    """Rules that hold inside this picture only."""
    if OUTSIDE.search(text):
        return ""
    rules = RULE.findall(INSIDE.sub(rf"url(#{prefix}.\1)", text))
    return "".join(f"#{prefix} {where.strip()}{{{what.strip()}}}" for where, what in rules)


def bare(name: str) -> str:
    """A tag or attribute without its namespace."""
    return name.rpartition("}")[2]
