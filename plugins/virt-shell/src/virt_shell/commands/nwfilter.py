"""Commands on network filters and their bindings."""

from __future__ import annotations

from virt_shell.objects import VALIDATE, ObjectKind, named_by

FILTER = ObjectKind(
    module=__name__,
    option="nwfilter",
    noun="nwfilter",
    group="filter",
    prefix="nwfilter-",
    help="network filter name or uuid",
    lookup="lookup_nwfilter",
    keys=("uuid", "name"),
    completer=named_by("list_nwfilters"),
    subject="Network filter",
)

FILTER.making(
    "define",
    help="define or update a network filter from an XML file",
    description="Define a filter, or change the definition of one.",
    done="Network filter {name} defined from {file}",
    failed="Failed to define network filter from {file}",
    method="define_nwfilter",
    file_help="file containing an XML network filter description",
    options=[VALIDATE],
    flags=lambda args: int("validate" in args),
)
FILTER.acting(
    "undefine",
    help="undefine a network filter",
    description="Remove the definition of a filter.",
    done="Network filter {name} undefined",
    failed="Failed to undefine network filter {name}",
    act=lambda nwfilter, args: nwfilter.undefine(),
)
FILTER.dumping(help="network filter information in XML", description="Print a filter's XML.")
FILTER.listing(
    help="list network filters",
    description="Print the filters there are.",
    failed="Failed to list network filters",
    method="list_nwfilters",
    columns={"UUID": lambda nwfilter: nwfilter.uuid, "Name": lambda nwfilter: nwfilter.name},
)
FILTER.editing(
    help="edit XML configuration for a network filter",
    description="Open a filter's definition in the editor and define what was saved.",
    read=lambda nwfilter: nwfilter.xml(),
    method="define_nwfilter",
)

BINDING = ObjectKind(
    module=__name__,
    option="binding",
    noun="nwfilter binding",
    group="filter",
    prefix="nwfilter-binding-",
    help="network filter binding port dev",
    lookup="lookup_nwfilter_binding",
    keys=("port_dev",),
    completer=named_by("list_nwfilter_bindings", attribute="port_dev"),
    identity="port_dev",
)

BINDING.making(
    "create",
    help="create a network filter binding from an XML file",
    description="Have a filter act on the traffic of a port.",
    done="Network filter binding on {name} created from {file}",
    failed="Failed to create network filter from {file}",
    method="create_nwfilter_binding",
    file_help="file containing an XML network filter binding description",
    options=[VALIDATE],
    flags=lambda args: int("validate" in args),
)
BINDING.acting(
    "delete",
    help="delete a network filter binding",
    description="Have a port's traffic pass unfiltered.",
    done="Network filter binding on {name} deleted",
    failed="Failed to delete network filter binding on {name}",
    act=lambda binding, args: binding.delete(),
)
BINDING.dumping(
    help="network filter information in XML",
    description="Print the XML of a port's filter.",
    option_help="network filter binding portdev",
)
BINDING.listing(
    help="list network filter bindings",
    description="Print the ports that have a filter.",
    failed="Failed to list network filter bindings",
    method="list_nwfilter_bindings",
    columns={"Port Dev": lambda binding: binding.port_dev, "Filter": lambda binding: binding.filter_name},
)
