"""Every kind of document there is, by the name of its schema.

libvirt's names (``domain``, ``storagepool``, ``capability``, ...), as ``virt-xml-validate`` takes them. The schemas
themselves follow from the declarations (:func:`virtcore.xml.schema`).
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["SCHEMAS", "document_classes", "document_schema", "schema_for_root"]

#: By schema the classes of its root elements.
SCHEMAS: dict[str, tuple[str, ...]] = {
    "capability": ("capabilities:Capabilities",),
    "cpu": ("cpu:GuestCPU", "cpu:HostCPU"),
    "domain": ("domain:Domain",),
    "domainbackup": ("backup:Backup",),
    "domaincaps": ("domain_capabilities:DomainCapabilities",),
    "domaincheckpoint": ("checkpoint:Checkpoint",),
    "domainsnapshot": ("snapshot:Snapshot",),
    "interface": ("interface:HostInterface",),
    "network": ("network:Network",),
    "networkport": ("network:NetworkPort",),
    "nodedev": ("nodedev:NodeDevice",),
    "nwfilter": ("nwfilter:Filter",),
    "nwfilterbinding": ("nwfilter:FilterBinding",),
    "secret": ("secret:Secret",),
    "storagepool": ("storage:StoragePool",),
    "storagepoolcaps": ("storage:StoragePoolCapabilities",),
    "storagevol": ("storage:Volume",),
}

#: What a root element's name contains, and the schema this speaks for; the first that fits counts, as in libvirt's
#: virt-xml-validate.
_BY_ROOT: tuple[tuple[str, str], ...] = (
    ("cpu", "cpu"),
    ("domainsnapshot", "domainsnapshot"),
    ("domaincheckpoint", "domaincheckpoint"),
    ("domainbackup", "domainbackup"),
    ("domainCap", "domaincaps"),
    ("domain", "domain"),
    ("networkport", "networkport"),
    ("network", "network"),
    ("storagepoolCap", "storagepoolcaps"),
    ("pool", "storagepool"),
    ("volume", "storagevol"),
    ("capabilities", "capability"),
    ("device", "nodedev"),
    ("filterbinding", "nwfilterbinding"),
    ("filter", "nwfilter"),
    ("secret", "secret"),
    ("interface", "interface"),
)


def document_classes(name: str) -> tuple[type, ...]:
    """The classes of the root elements that a schema is for.

    :raises KeyError: there is no schema of this name.
    """
    found: list[type] = []
    for place in SCHEMAS[name]:
        module, _, cls = place.partition(":")
        found.append(getattr(import_module(f"virtcore.model.{module}"), cls))
    return tuple(found)


def document_schema(name: str, *, foreign: bool = False) -> str:
    """The RELAX NG schema of a kind of document, with the namespaces of the plugins that are registered.

    :param foreign: instead of these namespaces any, with any content.
    :raises KeyError: there is no schema of this name.
    """
    from virtcore.xml import schema

    return schema(*document_classes(name), foreign=foreign)


def schema_for_root(root: str) -> str | None:
    """The name of the schema for documents with this root element; None: there is none."""
    return next((name for part, name in _BY_ROOT if part in root), None)
