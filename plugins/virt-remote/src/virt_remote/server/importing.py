"""``virtcored --import-libvirt``: takes over what libvirtd has defined. libvirt's folders are only read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from virtcore.driver.opening import config_folder
from virtcore.errors import InternalError, NotFoundError, VirtError

if TYPE_CHECKING:
    from virtcore.runtime.session import Session

__all__ = ["Imported", "import_libvirt"]

log = logging.getLogger("virtcored.import")


class _Kind(NamedTuple):
    #: Folder below libvirt's, what an object is called, and how it is defined.
    folder: str
    noun: str
    define: str
    lookup: str
    autostart: str | None


_KINDS: Final = (
    _Kind("nwfilter", "network filter", "connection_define_nwfilter", "connection_lookup_nwfilter", None),
    _Kind("secrets", "secret", "connection_define_secret", "connection_lookup_secret", None),
    _Kind(
        "qemu/networks", "network", "connection_define_network", "connection_lookup_network", "network_set_autostart"
    ),
    _Kind(
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
    :param uris: the hypervisors; guests are in the folder that is called as their scheme.
    :param folder: libvirt's; the one of this user's libvirtd by default.
    """
    base = folder or Path(config_folder())
    found: list[Imported] = []
    services_done = False
    for uri in uris:
        scheme = uri.partition(":")[0]
        driver = {"xen": "libxl"}.get(scheme, scheme)
        session = await open_session(uri)
        try:
            kinds = [*([] if services_done else _KINDS), _domains(driver)]
            services_done = True
            for kind in kinds:
                for path in _definitions(base / kind.folder):
                    found.append(await _take(session, kind, path))
        finally:
            await session.close()
    return found


def _domains(driver: str) -> _Kind:
    return _Kind(driver, "domain", "connection_define_domain", "connection_lookup_domain", "domain_set_autostart")


def _definitions(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.suffix == ".xml" and path.is_file())


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
