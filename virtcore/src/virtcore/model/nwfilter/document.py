"""From the documents of network filters and their bindings to complete objects, and back."""

from __future__ import annotations

from virtcore.model.definition import DefinitionContext
from virtcore.model.nwfilter.binding import FilterBinding, FilterBindingRules
from virtcore.model.nwfilter.filter import Filter
from virtcore.model.nwfilter.rules import FilterRules

__all__ = ["format_nwfilter", "format_nwfilter_binding", "load_nwfilter", "load_nwfilter_binding"]


def load_nwfilter(source: str | bytes, *, validate: bool = False, context: DefinitionContext | None = None) -> Filter:
    """Reads a network filter and completes it (``virNWFilterDefineXMLFlags``).

    :param validate: the schema is checked first (``VIR_NWFILTER_DEFINE_VALIDATE``); else un-namespaced content that
        libvirt does not know is dropped.
    :param context: where a generated UUID comes from.
    :raises VirtError: the document is malformed, or refused by libvirt's parser.
    """
    from virtcore.xml import load

    return load(
        source,
        Filter,
        FilterRules(),
        context or DefinitionContext(),
        validate=validate,
        name="(nwfilter_definition)",
    )


def format_nwfilter(subject: Filter) -> str:
    """The filter's document, as libvirt prints it."""
    from virtcore.xml import format

    return format(subject)


def load_nwfilter_binding(source: str | bytes, *, validate: bool = False) -> FilterBinding:
    """Reads a binding of a filter to a port and completes it (``virNWFilterBindingCreateXML``).

    :param validate: the schema is checked first (``VIR_NWFILTER_BINDING_CREATE_VALIDATE``).
    :raises VirtError: the document is malformed, or refused by libvirt's parser.
    """
    from virtcore.xml import load

    return load(
        source,
        FilterBinding,
        FilterBindingRules(),
        DefinitionContext(),
        validate=validate,
        name="(nwfilterbinding_definition)",
    )


def format_nwfilter_binding(binding: FilterBinding) -> str:
    """The binding's document, as libvirt prints it."""
    from virtcore.xml import format

    return format(binding)
