"""Guests of the test driver in files: saved, restored, changed, dumped."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import DomainRunningReason, DomainShutoffReason, DomainState
from virtcore.operations.events import DomainLifecycleEvent

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
INVALID, NOT_NOW, INTERNAL = (
    errors.ErrorCode.INVALID_ARG,
    errors.ErrorCode.OPERATION_INVALID,
    errors.ErrorCode.INTERNAL_ERROR,
)
SYSTEM = errors.ErrorCode.SYSTEM_ERROR
NOT_RUNNING = "Requested operation is not valid: domain is not running"
EXCLUSIVE = "Flags 'VIR_DOMAIN_SAVE_RUNNING' and 'VIR_DOMAIN_SAVE_PAUSED' are mutually exclusive"


@pytest.fixture
def connection() -> Iterator[virtcore.Connection]:
    with virtcore.connect("test:///default") as opened:
        yield opened


@pytest.fixture
def domain(connection: virtcore.Connection) -> virtcore.Domain:
    return connection.lookup_domain(name="test")


@pytest.fixture
def events(connection: virtcore.Connection) -> Callable[[], tuple[str, int, int]]:
    import queue

    found: queue.Queue[Any] = queue.Queue()
    connection.on_event(found.put, DomainLifecycleEvent)

    def following() -> tuple[str, int, int]:
        event = found.get(timeout=60)
        return event.domain.name, int(event.type), event.detail

    return following


def refused(code: int, message: str, call: Callable[[], object]) -> None:
    with pytest.raises(errors.VirtError) as caught:
        call()
    assert (caught.value.code, str(caught.value)) == (code, message)


def test_save_and_restore(
    connection: virtcore.Connection, domain: virtcore.Domain, events: Callable[[], object], tmp_path: Path
) -> None:
    file = tmp_path / "image"
    domain.set_memory(5)
    running = domain.xml()
    domain.save(str(file))
    assert (events(), domain.state()) == (("test", 5, 4), (DomainState.SHUTOFF, DomainShutoffReason.SAVED))
    data = file.read_bytes()
    (length,) = struct.unpack("=i", data[15:19])
    assert (data[:15], data[19:], length) == (b"TestGuestMagic\0", running.encode(), len(running))
    assert file.stat().st_mode & 0o777 == 0o600
    refused(NOT_NOW, NOT_RUNNING, lambda: domain.save(str(file)))
    connection.restore(str(file))
    assert (events(), domain.state()) == (("test", 2, 2), (DomainState.RUNNING, DomainRunningReason.RESTORED))
    domain = connection.lookup_domain(name="test")
    assert (domain.id, domain.info().memory) == (2, 5)
    assert "'>5</currentMemory>" not in domain.xml(2)
    message = "Requested operation is not valid: domain 'test' is already active"
    refused(NOT_NOW, message, lambda: connection.restore(str(file)))


def test_a_transient_guest_comes_back(connection: virtcore.Connection, tmp_path: Path) -> None:
    xml = "<domain type='test'><name>a</name><memory>1024</memory><os><type>hvm</type></os></domain>"
    connection.create_domain(xml).save(str(tmp_path / "image"))
    with pytest.raises(errors.NoDomain):
        connection.lookup_domain(name="a")
    connection.restore(str(tmp_path / "image"))
    assert not connection.lookup_domain(name="a").is_persistent()


def test_the_document_of_a_file(connection: virtcore.Connection, domain: virtcore.Domain, tmp_path: Path) -> None:
    file = str(tmp_path / "image")
    domain.save(file)
    text = connection.save_image_xml(file, 1)
    assert text == domain.xml()
    renamed = text.replace("<name>test", "<name>other").replace(UUID, UUID.replace("193f", "193e"))
    connection.save_image_define_xml(file, renamed, 2)
    connection.restore(file)
    assert connection.lookup_domain(name="other").is_active()
    message = "XML error: expecting root element of 'domain', not 'x'"
    before = Path(file).read_bytes()
    with pytest.raises(errors.XMLError) as caught:
        connection.save_image_define_xml(file, "<x/>")
    assert str(caught.value) == message
    assert Path(file).read_bytes() == before
    refused(INVALID, EXCLUSIVE, lambda: connection.save_image_define_xml(file, text, 6))


def test_files_that_are_none(connection: virtcore.Connection, tmp_path: Path) -> None:
    magic = b"TestGuestMagic\0"
    for code, message, data in (
        (SYSTEM, "incomplete save header in '{}': Success", b"Test"),
        (INTERNAL, "internal error: mismatched header magic", b"x" * 50),
        (SYSTEM, "failed to read metadata length in '{}': Success", magic + b"\1"),
        (INTERNAL, "internal error: length of metadata out of range", magic + struct.pack("=i", 8193)),
        (INTERNAL, "internal error: length of metadata out of range", magic + struct.pack("=i", -1)),
        (SYSTEM, "incomplete metadata in '{}': Success", magic + struct.pack("=i", 9) + b"abc"),
    ):
        file = tmp_path / "file"
        file.write_bytes(data)
        refused(code, message.format(file), lambda: connection.restore(str(file)))  # noqa: B023
        refused(code, message.format(file), lambda: connection.save_image_xml(str(file)))  # noqa: B023
    file.write_bytes(magic + struct.pack("=i", 3) + b"abc")
    with pytest.raises(errors.XMLDetail):
        connection.restore(str(file))
    missing = tmp_path / "none"
    message = f"cannot read domain image '{missing}': No such file or directory"
    refused(SYSTEM, message, lambda: connection.restore(str(missing)))


def test_what_saving_refuses(connection: virtcore.Connection, domain: virtcore.Domain, tmp_path: Path) -> None:
    file = str(tmp_path / "image")
    lost = str(tmp_path / "none" / "image")
    xml = "argument unsupported: xml modification unsupported"
    for code, message, call in (
        (errors.ErrorCode.ARGUMENT_UNSUPPORTED, xml, lambda: domain.save(file, "<x/>")),
        (errors.ErrorCode.ARGUMENT_UNSUPPORTED, xml, lambda: connection.restore(file, "<x/>")),
        (INVALID, EXCLUSIVE, lambda: domain.save(file, flags=6)),
        (INVALID, "unsupported flags (0x2) in function testDomainSaveFlags", lambda: domain.save(file, flags=2)),
        (
            INVALID,
            "unsupported flags (0x4) in function testDomainRestoreFlags",
            lambda: connection.restore(file, flags=4),
        ),
        (
            SYSTEM,
            f"saving domain 'test' to '{lost}': open failed: No such file or directory",
            lambda: domain.save(lost),
        ),
        (
            errors.ErrorCode.NO_SUPPORT,
            "this function is not supported by the connection driver: virDomainSaveParams",
            lambda: domain.save(file, image_format="zstd"),
        ),
    ):
        refused(code, message, call)
    assert domain.is_active()
    assert not list(tmp_path.iterdir())


def test_managed_save(domain: virtcore.Domain, events: Callable[[], object], connection: virtcore.Connection) -> None:
    refused(INVALID, EXCLUSIVE, lambda: domain.managed_save(6))
    refused(INVALID, "unsupported flags (0x10) in function testDomainManagedSave", lambda: domain.managed_save(16))
    message = "Requested operation is not valid: domain does not have managed save image"
    refused(NOT_NOW, message, domain.managed_save_xml)
    domain.set_metadata(1, "then", flags=3)
    domain.set_metadata(1, "lost", flags=1)
    domain.managed_save()
    assert (events(), domain.state()) == (("test", 5, 4), (DomainState.SHUTOFF, DomainShutoffReason.SAVED))
    assert domain.has_managed_save()
    message = "Requested operation is not valid: Refusing to undefine while domain managed save image exists"
    refused(NOT_NOW, message, domain.undefine)
    text = domain.managed_save_xml()
    assert "<title>then</title>" in text
    message = "unsupported configuration: Target domain name 'other' does not match source 'test'"
    other = text.replace("<name>test", "<name>other")
    refused(errors.ErrorCode.CONFIG_UNSUPPORTED, message, lambda: domain.managed_save_define_xml(other))
    domain.managed_save_define_xml(text.replace("then", "now"))
    domain.create()
    assert (domain.has_managed_save(), domain.metadata(1)) == (False, "now")
    domain.managed_save()
    domain.managed_save_remove()
    domain.create()
    assert domain.metadata(1) == "then"
    xml = "<domain type='test'><name>a</name><memory>1024</memory><os><type>hvm</type></os></domain>"
    message = "Requested operation is not valid: cannot do managed save for transient domain"
    refused(NOT_NOW, message, connection.create_domain(xml).managed_save)


def test_dump(domain: virtcore.Domain, events: Callable[[], object], tmp_path: Path) -> None:
    file = str(tmp_path / "core")
    lost = str(tmp_path / "none" / "core")
    for code, message, call in (
        (INVALID, "dumpformat '9' is not supported", lambda: domain.core_dump(file, 9)),
        (
            errors.ErrorCode.OPERATION_UNSUPPORTED,
            "Operation not supported: kdump-compressed format is not supported here",
            lambda: domain.core_dump(file, 1),
        ),
        (
            INVALID,
            "Flags 'VIR_DUMP_CRASH' and 'VIR_DUMP_LIVE' are mutually exclusive",
            lambda: domain.core_dump(file, 0, 3),
        ),
        (
            INVALID,
            "unsupported flags (0x4) in function testDomainCoreDumpWithFormat",
            lambda: domain.core_dump(file, 0, 5),
        ),
        (
            SYSTEM,
            f"domain 'test' coredump: failed to open {lost}: No such file or directory",
            lambda: domain.core_dump(lost),
        ),
    ):
        refused(code, message, call)
    assert not list(tmp_path.iterdir())
    domain.core_dump(file)
    assert (Path(file).read_bytes(), domain.is_active()) == (b"TestGuestMagic\0", True)
    domain.core_dump(file, 0, 1)
    assert (events(), domain.state()) == (("test", 5, 2), (DomainState.SHUTOFF, DomainShutoffReason.CRASHED))
    refused(NOT_NOW, NOT_RUNNING, lambda: domain.core_dump(file))


def test_starting_with_files(connection: virtcore.Connection, domain: virtcore.Domain) -> None:
    xml = "<domain type='test'><name>a</name><memory>1024</memory><os><type>hvm</type></os></domain>"
    assert connection.create_domain_with_files(xml, []).is_active()
    domain.destroy()
    message = "unsupported flags (0x10) in function testDomainCreateWithFlags"
    refused(INVALID, message, lambda: domain.create(16))
    domain.create_with_files([])
    assert (domain.id, domain.is_active()) == (3, True)
