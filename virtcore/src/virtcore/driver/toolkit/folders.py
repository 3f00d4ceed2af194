"""Where a stateful driver keeps what survives: folders of virtcore's own, never libvirt's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from virtcore.driver.base import Place

__all__ = ["StateFolders", "file_name", "own_root", "use_root"]

_NAME_LIMIT = 200  # bytes; leaves room in the usual 255 for a suffix and a temporary mark
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+=@,:. ")


_root: Path | None = None


def use_root(root: str | os.PathLike[str] | None) -> None:
    """Keep the system's and the session's state of this process below a folder of one's own (``virtcored --root``).

    To be called before the first driver opens.

    :param root: the folder; None for the usual places.
    """
    global _root
    _root = None if root is None else Path(os.path.abspath(root))


def own_root() -> bool:
    """Whether :func:`use_root` gave this process a folder of its own."""
    return _root is not None


class StateFolders(NamedTuple):
    """The folders of one driver under one root.

    Nothing is created before it is used: see :meth:`make`.
    """

    #: Definitions and settings.
    config: Path
    #: What belongs to objects and survives a reboot: save images, NVRAM, snapshots.
    lib: Path
    #: What lasts until the host reboots: live status, sockets, pid files. Mind the 107 bytes of a socket's path.
    run: Path
    #: Log files.
    log: Path
    #: What can be made again.
    cache: Path

    @classmethod
    def of(cls, place: Place, driver: str) -> Self:
        """Folders of a place."""
        if place.root is not None:
            return cls.below(place.root, driver)
        return cls.system(driver) if place.privileged else cls.session(driver)

    @classmethod
    def system(cls, driver: str) -> Self:
        """Folders of the privileged instance: ``/etc/virtcore``, ``/var/lib/virtcore``, ..."""
        if _root is not None:
            return cls.below(_root / "system", driver)
        return cls._of(driver, "/etc/virtcore", "/var/lib/virtcore", "/run/virtcore", "/var/log/virtcore",
                       "/var/cache/virtcore")  # fmt: skip

    @classmethod
    def session(cls, driver: str) -> Self:
        """Folders of the calling user, below the XDG base directories."""
        if _root is not None:
            return cls.below(_root / "session", driver)
        cache = _xdg("XDG_CACHE_HOME", ".cache")
        run = os.environ.get("XDG_RUNTIME_DIR")
        state = _xdg("XDG_STATE_HOME", ".local/state")
        return cls._of(
            driver,
            _xdg("XDG_CONFIG_HOME", ".config"),
            _xdg("XDG_DATA_HOME", ".local/share"),
            # As GLib does, and with it libvirt: without a runtime directory the cache stands in.
            f"{run}/virtcore" if run and os.path.isabs(run) else f"{cache}/run",
            f"{state}/log",
            cache,
        )

    @classmethod
    def below(cls, root: str | os.PathLike[str], driver: str) -> Self:
        """Folders below a root of one's own, laid out as libvirt's embedded mode does (``etc``, ``lib``, ...)."""
        base = os.path.abspath(root)
        return cls._of(driver, f"{base}/etc", f"{base}/lib", f"{base}/run", f"{base}/log", f"{base}/cache")

    @classmethod
    def _of(cls, driver: str, config: str, lib: str, run: str, log: str, cache: str) -> Self:
        return cls(*(Path(base, driver) for base in (config, lib, run, log, cache)))

    @property
    def autostart(self) -> Path:
        """Marks of what starts with the host (:class:`~virtcore.driver.toolkit.store.Marks`)."""
        return self.config / "autostart"

    @property
    def status(self) -> Path:
        """What works, for the process after this one."""
        return self.run / "status"

    def have_work(self) -> bool:
        """Whether somebody has to look after what is there without being asked: it starts with the host, or works."""
        return _occupied(self.autostart) or _occupied(self.status)

    def make(self) -> None:
        """Create every folder that is missing, readable by its owner only.

        :raises OSError: one cannot be created.
        """
        for folder in self:
            make_folder(folder)


def _occupied(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    except OSError:  # there is none, or it is not for us
        return False


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents with mode 0700."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            if not path.is_dir():
                raise


def _xdg(variable: str, default: str) -> str:
    value = os.environ.get(variable)
    # A relative value is to be ignored, says the specification.
    base = value if value and os.path.isabs(value) else os.path.join(os.path.expanduser("~"), default)
    return os.path.join(base, "virtcore")


def file_name(name: str, suffix: str = "") -> str:
    """A file name for an object's name, readable where possible and safe whatever the name is.

    Distinct names give distinct file names: what is not plain is percent-encoded, what is too long is cut and told
    apart by a hash. Meant for files people look for by name, such as logs; definitions are filed by UUID.

    :param suffix: appended as it is, e.g. ``.log``.
    """
    encoded = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in name.encode("utf-8", "surrogatepass"))
    if encoded.startswith((".", "-", " ")) or not encoded:
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}" if encoded else "%"
    if len(encoded) > _NAME_LIMIT:
        import hashlib

        digest = hashlib.sha256(encoded.encode()).hexdigest()
        encoded = f"{encoded[: _NAME_LIMIT - 66].rstrip('%')}%-{digest}"
    return encoded + suffix
