"""``<filterref>``: the use of a filter, with values for its variables."""

from __future__ import annotations

import re

from virtcore.model.patterns import XML_NAME
from virtcore.xml import attribute, children, element

__all__ = ["FilterParameter", "FilterReference", "settle_parameters"]

_NAME = re.compile("[a-zA-Z0-9_]*")
_VALUE = re.compile("[a-zA-Z0-9_.:]+")


@element("parameter")
class FilterParameter:
    """A value for a variable of the filter."""

    name: str | None = attribute(demanded=True, pattern="[a-zA-Z0-9_]+", doc="name of the variable")
    value: str | None = attribute(
        demanded=True, pattern=r"[a-zA-Z0-9_\.:]+", doc="value; several with one name make a list"
    )


@element("filterref")
class FilterReference:
    """The use of a network filter."""

    filter: str | None = attribute(demanded=True, pattern=XML_NAME, doc="name of the filter")
    parameters: list[FilterParameter] = children("parameter", doc="values of its variables")


def settle_parameters(reference: FilterReference) -> None:
    """Sorts the parameters by name and drops those that cannot be."""
    reference.parameters = sorted(
        (
            parameter
            for parameter in reference.parameters
            if parameter.name is not None
            and parameter.value is not None
            and _NAME.fullmatch(parameter.name)
            and _VALUE.fullmatch(parameter.value)
        ),
        key=lambda parameter: parameter.name or "",
    )
