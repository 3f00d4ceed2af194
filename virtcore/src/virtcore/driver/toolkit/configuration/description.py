"""Texts of a configuration, and what happens when its guest ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from virtcore.enums.domain import DomainMetadataType
from virtcore.errors import ConfigUnsupported, ErrorDomain, InvalidArg

if TYPE_CHECKING:
    from virtcore.model.domain import Domain
    from virtcore.model.domain.domain import LifecycleAction

__all__ = ["check_metadata", "lifecycle_field", "set_metadata"]


def check_metadata(type: int, metadata: str | None, key: str | None, uri: str | None, operation: str) -> None:
    """Refuse what does not belong together."""
    from virtcore.driver.toolkit.arguments import invalid_argument, refuse_given, refuse_missing

    if type == DomainMetadataType.ELEMENT:
        refuse_missing(uri, "uri", operation)
        if metadata is not None:
            refuse_missing(key, "key", operation)
    elif type in (DomainMetadataType.TITLE, DomainMetadataType.DESCRIPTION):
        if type == DomainMetadataType.TITLE and metadata is not None and "\n" in metadata:
            raise invalid_argument("metadata title can't contain newlines")
        refuse_given(uri, "uri", operation)
        refuse_given(key, "key", operation)


def set_metadata(domain: Domain, type: int, metadata: str | None, key: str | None, uri: str | None) -> None:
    """Set title, description or a custom element; an empty text or None removes it."""
    if type == DomainMetadataType.DESCRIPTION:
        domain.description = metadata or None
    elif type == DomainMetadataType.TITLE:
        domain.title = metadata or None
    elif type == DomainMetadataType.ELEMENT:
        from virtcore.model.metadata import replace_metadata

        domain.metadata = replace_metadata(domain.metadata, metadata, key, uri)
    else:
        raise InvalidArg(f"unknown metadata type '{int(type)}'", domain=ErrorDomain.DOMAIN)


_FIELDS = ("on_poweroff", "on_reboot", "on_crash")
_EVENTS = ("poweroff", "reboot", "crash")


def lifecycle_field(type: int, action: int, check_flags: Callable[[], None]) -> tuple[str, LifecycleAction]:
    """The field of a configuration that says what happens at an event, and its value.

    :param check_flags: called between libvirt's own checks of the numbers and of whether they go together.
    """
    from virtcore.model.domain.domain import LifecycleAction

    if not 0 <= type < len(_FIELDS):
        raise InvalidArg(f"invalid lifecycle type '{int(type)}'")
    actions = list(LifecycleAction)
    if not 0 <= action < len(actions):
        raise InvalidArg(f"invalid lifecycle action '{int(action)}'")
    check_flags()
    value = actions[action]
    if value in (LifecycleAction.COREDUMP_DESTROY, LifecycleAction.COREDUMP_RESTART) and _EVENTS[type] != "crash":
        raise ConfigUnsupported(f"Lifecycle event '{_EVENTS[type]}' doesn't support '{value.value}' action")
    return _FIELDS[type], value
