"""``virtcored --import-libvirt``: takes over what libvirtd has defined. libvirt's folders are only read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from virtcore.driver.opening import config_folder
from virtcore.errors import InternalError, NotFoundError, VirtError

if TYPE_CHECKING:
    from virtcore.runtime.session import Session

__all__ = ["Imported", "import_libvirt"]

log = logging.getLogger("virtcored.import")


class _Kind(NamedTuple):
    #: The service that has it; None for guests.
    service: str | None
    #: Folder below libvirt's, what an object is called, and how it is defined.
    folder: str
    noun: str
    define: str
    lookup: str
    autostart: str | None


_KINDS: Final = (
    _Kind("nwfilter", "nwfilter", "network filter", "connection_define_nwfilter", "connection_lookup_nwfilter", None),
    _Kind("secret", "secrets", "secret", "connection_define_secret", "connection_lookup_secret", None),
    _Kind(
        "network",
        "qemu/networks",
        "network",
        "connection_define_network",
        "connection_lookup_network",
        "network_set_autostart",
    ),
    _Kind(
        "storage",
        "storage",
        "storage pool",
        "connection_define_storage_pool",
        "connection_lookup_storage_pool",
        "storage_pool_set_autostart",
    ),
)


class Imported(NamedTuple):
    """What became of one definition."""

    noun: str
    name: str
    #: ``imported``, ``there already``, or why not.
    outcome: str
    failed: bool = False


async def import_libvirt(
    open_session: Callable[[str], Any], uris: list[str], folder: Path | None = None
) -> list[Imported]:
    """Define in virtcore what is defined in libvirt, where it is not there yet.

    :param open_session: opens a URI.
    :param uris: the hypervisors, whose connections have the services of the host, too; guests are in the folder that is
        called as their scheme.
    :param folder: libvirt's; the one of this user's libvirtd by default.
    """
    base = folder or Path(config_folder())
    found: list[Imported] = []
    for kind in _KINDS:
        # Of the hypervisors one may have its own, as the test driver does.
        uri = uris[0] if uris else f"{kind.service}:///{'system' if _privileged() else 'session'}"
        found += await _take_all(open_session, uri, kind, base)
    for uri in uris:
        scheme = uri.partition(":")[0]
        found += await _take_all(open_session, uri, _domains({"xen": "libxl"}.get(scheme, scheme)), base)
    return found


def _privileged() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


async def _take_all(open_session: Callable[[str], Any], uri: str, kind: _Kind, base: Path) -> list[Imported]:
    paths = _definitions(base / kind.folder)
    if not paths:
        return []
    session = await open_session(uri)
    try:
        return [await _take(session, kind, path) for path in paths]
    finally:
        await session.close()


def _domains(driver: str) -> _Kind:
    return _Kind(None, driver, "domain", "connection_define_domain", "connection_lookup_domain", "domain_set_autostart")


def _definitions(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix == ".xml" and path.is_file())


async def _take(session: Session, kind: _Kind, path: Path) -> Imported:
    name = path.stem
    try:
        if not session.supports(kind.define):
            return Imported(kind.noun, name, "this hypervisor has none", True)
        text = path.read_text(encoding="utf-8")
        from virtcore.xml.document import document

        uuid = (document(text).findtext("uuid") or "").strip()
        if uuid and await _is_there(session, kind, uuid):
            return Imported(kind.noun, name, "there already")
        if kind.noun == "network filter":
            text = await _instead_of_ours(session, text)
        reference = await session.call(kind.define, text, deadline=None)
        if kind.noun == "secret":
            await _take_secret(session, reference, path)
        if kind.autostart is not None and (path.parent / "autostart" / path.name).is_symlink():
            await session.call(kind.autostart, reference, True, deadline=None)
    except (VirtError, OSError, UnicodeDecodeError) as error:
        log.warning("%s '%s' is not imported: %s", kind.noun, name, error)
        return Imported(kind.noun, name, str(error), True)
    return Imported(kind.noun, name, "imported")


async def _is_there(session: Session, kind: _Kind, uuid: str) -> bool:
    arguments = (uuid,) if kind.noun == "secret" else (None, uuid)
    try:
        await session.call(kind.lookup, *arguments, deadline=None)
    except NotFoundError:
        return False
    return True


async def _instead_of_ours(session: Session, text: str) -> str:
    """A filter whose name is known already takes the place of that one: some come with libvirt, and with us."""
    from virtcore.model.nwfilter import format_nwfilter, load_nwfilter

    subject = load_nwfilter(text)
    try:
        known = await session.call("connection_lookup_nwfilter", subject.name, None, deadline=None)
    except NotFoundError:
        return text
    subject.uuid = known.uuid
    return format_nwfilter(subject)


async def _take_secret(session: Session, reference: Any, path: Path) -> None:
    """A secret's value, which libvirt keeps beside its definition, in base64.

    :raises InternalError: it is no base64.
    """
    import base64
    import binascii

    file = path.with_suffix(".base64")
    try:
        value = base64.b64decode(file.read_bytes(), validate=False)
    except FileNotFoundError:
        return
    except binascii.Error as error:
        raise InternalError(f"the value in '{file}' cannot be read: {error}") from None
    await session.call("secret_set_value", reference, value, deadline=None)
