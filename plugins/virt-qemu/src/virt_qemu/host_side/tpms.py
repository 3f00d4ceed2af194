"""TPMs that a program emulates: swtpm, its state, and its key."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from virt_host.description.program import finish_program
from virt_host.tools import tool
from virt_qemu.resources import bind_socket
from virtcore.errors import ConfigUnsupported, InternalError, SystemError
from virtcore.model.domain.tpm import EmulatorTPM, TPMSourceType, TPMVersion
from virtcore.model.storage.secret import SecretReference

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virt_qemu.resources import HostResources
    from virtcore.model.domain import Domain
    from virtcore.model.domain.tpm import TPM

__all__ = ["prepare", "release", "remove_state"]

_CONTROL = 3
"""Number of the descriptor on which the emulator listens."""
_KEY = 4
"""Number of the descriptor from which a program reads its key."""
_MIGRATION_KEY = 5
_LOG = 6
_SETUP_LIMIT = 60.0
"""Seconds that making a TPM may take: keys are found by chance."""


class _State(NamedTuple):
    """Where a TPM keeps what it knows.

    :ivar path: a folder, or a file.
    :ivar made: the folder that is ours to make and to remove; None where the user chose the place.
    """

    path: str
    is_file: bool
    made: str | None


def _state(side: HostSide, uuid: str, backend: EmulatorTPM) -> _State:
    source = backend.source
    if source is not None and source.path is not None:
        return _State(source.path, source.type is TPMSourceType.FILE, None)
    made = f"{side.folders.lib}/swtpm/{uuid}"
    version = "tpm1.2" if backend.version is TPMVersion.V1_2 else "tpm2"
    return _State(f"{made}/{version}", False, made)


def _socket(owner: Owner, tpm: TPM) -> str:
    return str(owner.folder / f"{tpm.alias}-swtpm.sock")


async def prepare(side: HostSide, owner: Owner, tpm: TPM, resources: HostResources) -> None:
    """Start the emulator of a TPM; one that is new is made first.

    :raises VirtError: it cannot be made, or does not run.
    """
    backend = tpm.backend
    if not isinstance(backend, EmulatorTPM):
        return
    assert tpm.alias is not None
    state = _state(side, owner.uuid, backend)
    key = None
    if backend.encryption is not None:
        key = await _passphrase(side, backend.encryption)
    new = not _exists(state)
    try:
        if new:
            await _set_up(side, owner, backend, state, key)
        elif backend.active_pcr_banks and backend.version is not TPMVersion.V1_2:
            await _choose_banks(side, owner, backend, state, key)
        await _run(side, owner, tpm, backend, state, key)
    except BaseException:
        if new:
            _remove(state)
        raise
    resources.provide_tpm(tpm.alias, _socket(owner, tpm))


async def release(side: HostSide, owner: Owner, tpm: TPM) -> None:
    """End the emulator of a TPM. Its state stays."""
    if isinstance(tpm.backend, EmulatorTPM):
        await side.programs.stop(owner, f"{tpm.alias}-swtpm")
        side.remove_file(_socket(owner, tpm))


def remove_state(side: HostSide, domain: Domain, *, persistent: bool) -> None:
    """Remove what the TPMs of a domain know, which is gone.

    :param persistent: also where the domain says that it is to stay.
    """
    assert domain.devices is not None
    for tpm in domain.devices.tpms:
        backend = tpm.backend
        if (
            isinstance(backend, EmulatorTPM)
            and domain.uuid is not None
            and (persistent or not backend.persistent_state)
        ):
            _remove(_state(side, domain.uuid, backend))


def _exists(state: _State) -> bool:
    if state.is_file:
        return os.path.exists(state.path) and os.path.getsize(state.path) > 0
    try:
        return any(not name.startswith(".") for name in os.listdir(state.path))
    except FileNotFoundError:
        return False


def _remove(state: _State) -> None:
    if state.made is not None:
        shutil.rmtree(state.made, ignore_errors=True)


async def _passphrase(side: HostSide, uuid: str) -> bytes:
    from virtcore.driver.toolkit.secrets import secret_value

    value = await secret_value(side.services, SecretReference(type="vtpm", uuid=uuid))
    if not value:
        raise InternalError("TPM passphrase is empty")
    return value


def _pipe(data: bytes) -> int:
    """A descriptor from which a secret is read once."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        os.write(writing, data)  # shorter than a pipe's buffer
    finally:
        os.close(writing)
    return reading


def _is_v2(backend: EmulatorTPM) -> bool:
    return backend.version is not TPMVersion.V1_2


def _place(state: _State) -> str:
    return f"file://{state.path}" if state.is_file else state.path


async def _set_up(side: HostSide, owner: Owner, backend: EmulatorTPM, state: _State, key: bytes | None) -> None:
    """Make a TPM, with its keys and certificates."""
    identity = side.tpm_identity
    try:
        if state.made is not None:
            os.makedirs(os.path.dirname(state.made), mode=0o711, exist_ok=True)
            os.makedirs(state.made, mode=0o711, exist_ok=True)
        if not state.is_file:
            os.makedirs(state.path, mode=0o700, exist_ok=True)
        if identity is not None and not state.is_file:
            os.chown(state.path, identity.uid, identity.gid)
    except OSError as error:
        raise SystemError(f"Could not create TPM directory {state.path}: {error.strerror}") from None
    argv = [tool("swtpm_setup")]
    if identity is None:
        # The host's authority of certificates belongs to the TPMs' user; everybody else has one, made once.
        how = "skip-if-exist,root" if os.geteuid() == 0 else "skip-if-exist"
        await _finish([*argv, "--create-config-files", how], {}, side, owner)
    if _is_v2(backend):
        argv.append("--tpm2")
    fds = {}
    if key is not None:
        fds[_KEY] = _pipe(key)
        argv += ["--pwdfile-fd", str(_KEY), "--cipher", "aes-256-cbc"]
    argv += ["--tpm-state", _place(state), "--vmid", f"{owner.name}:{owner.uuid}"]
    argv += ["--createek", "--create-ek-cert", "--create-platform-cert", "--lock-nvram", "--not-overwrite"]
    if backend.active_pcr_banks and _is_v2(backend):
        argv += ["--pcr-banks", ",".join(map(str, backend.active_pcr_banks))]
    try:
        await _finish(argv, fds, side, owner)
    finally:
        for descriptor in fds.values():
            os.close(descriptor)


async def _choose_banks(side: HostSide, owner: Owner, backend: EmulatorTPM, state: _State, key: bytes | None) -> None:
    """Change the banks of a TPM that is there."""
    argv = [tool("swtpm_setup"), "--tpm2"]
    fds = {}
    if key is not None:
        fds[_KEY] = _pipe(key)
        argv += ["--pwdfile-fd", str(_KEY), "--cipher", "aes-256-cbc"]
    banks = ",".join(map(str, backend.active_pcr_banks))
    argv += ["--tpm-state", _place(state), "--pcr-banks", banks, "--reconfigure"]
    try:
        await _finish(argv, fds, side, owner)
    finally:
        for descriptor in fds.values():
            os.close(descriptor)


async def _finish(argv: list[str], fds: dict[int, int], side: HostSide, owner: Owner) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    if side.tpm_identity is None and os.geteuid() == 0:
        environment["XDG_CONFIG_HOME"] = f"{side.folders.lib}/swtpm-setup"
        side.make_folder(environment["XDG_CONFIG_HOME"], 0o700)
    elif side.tpm_identity is None:
        names = ("HOME", "XDG_CONFIG_HOME")  # where a user's own authority of certificates is
        environment |= {name: os.environ[name] for name in names if name in os.environ}
    finished = await finish_program(
        argv, fds=fds, environment=environment, identity=side.tpm_identity, limit=_SETUP_LIMIT
    )
    path = side.programs.log_path(owner, "swtpm")
    side.programs.write(path, finished.output + finished.errors)
    if finished.status:
        raise InternalError(
            f"Could not run '{argv[0]}'. exitstatus: {finished.status}; Check error log '{path}' for details."
        )


async def _run(side: HostSide, owner: Owner, tpm: TPM, backend: EmulatorTPM, state: _State, key: bytes | None) -> None:
    """Start the emulator."""
    if state.is_file and not _is_v2(backend):
        raise ConfigUnsupported("TPM 1.2 state cannot be a file")
    where = f"backend-uri=file://{state.path}" if state.is_file else f"dir={state.path}"
    argv = [
        *(tool("swtpm"), "socket", "--ctrl", f"type=unixio,fd={_CONTROL}"),
        *("--tpmstate", f"{where},mode=0600", "--terminate"),
    ]
    if _is_v2(backend):
        argv.append("--tpm2")
    fds = {}
    if key is not None:
        fds = {_KEY: _pipe(key), _MIGRATION_KEY: _pipe(key)}
        argv += ["--key", f"pwdfd={_KEY},mode=aes-256-cbc"]
        argv += ["--migration-key", f"pwdfd={_MIGRATION_KEY},mode=aes-256-cbc"]
    path, name = _socket(owner, tpm), f"{tpm.alias}-swtpm"
    log = side.programs.log_path(owner, "swtpm")
    if backend.debug:
        fds[_LOG] = side.programs.open_log(log)
        argv += ["--log", f"fd={_LOG},level={backend.debug}"]
    try:
        with bind_socket(path) as listening:
            fds[_CONTROL] = listening.detach()
            await side.programs.start(owner, name, argv, fds=fds, identity=side.tpm_identity, log_file=log)
    finally:
        for descriptor in fds.values():
            os.close(descriptor)
    side.hand_over(owner, path)
