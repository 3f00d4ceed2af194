"""``<filterbinding>``: which filter the traffic of a port goes through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from virtcore.errors import ErrorCode, ErrorDomain, InternalError
from virtcore.model.definition import DefinitionContext, DefinitionRules
from virtcore.model.nwfilter.reference import FilterReference, settle_parameters
from virtcore.xml import MAC, UUID, Stage, attribute, child, element, extras, leaf

if TYPE_CHECKING:
    from virtcore.xml import Extras

__all__ = ["FilterBinding", "FilterBindingRules", "LinkDevice"]


def _needed(what: str) -> dict[str, Any]:
    """What a required field is refused with when it is absent."""
    return {
        "required": True,
        "blank": False,
        "missing": f"filter binding has no {what}",
        "code": ErrorCode.INTERNAL_ERROR,
    }


@element("linkdev")
class LinkDevice:
    """The device of the host behind the port."""

    name: str = attribute(**_needed("link dev name"), doc="its name")


@element("filterbinding", root=True, doc="Which filter the traffic of a port goes through.", since="4.5.0")
class FilterBinding:
    owner_name: str = leaf("name", within="owner", **_needed("owner name"), doc="Name of the domain.")
    owner_uuid: str = leaf(
        "uuid",
        within="owner",
        codec=UUID,
        invalid="Unable to parse UUID '{value}'",
        **_needed("owner UUID"),
        doc="UUID of the domain.",
    )
    portdev: str = attribute(
        "name", within="portdev", **_needed("port dev name"), doc="Name of the host's end of the port."
    )
    linkdev: LinkDevice | None = child()
    mac: str = attribute(
        "address",
        within="mac",
        codec=MAC,
        invalid="Unable to parse MAC '{value}'",
        **_needed("MAC address"),
        doc="MAC address of the guest's end.",
    )
    filterref: FilterReference = child(
        required=True, missing="filter binding has no filter reference", code=ErrorCode.INTERNAL_ERROR
    )
    extra: Extras = extras()


def _settle(_rules: FilterBindingRules, binding: FilterBinding, context: DefinitionContext) -> None:
    if not binding.filterref.filter:
        raise InternalError("filter binding has no filter reference", path="/filterbinding/filterref/@filter")
    settle_parameters(binding.filterref)


class FilterBindingRules(DefinitionRules[FilterBinding, DefinitionContext]):
    """What makes a binding complete."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.NWFILTER
    completion: ClassVar[tuple[Stage, ...]] = (Stage("settle", _settle),)
