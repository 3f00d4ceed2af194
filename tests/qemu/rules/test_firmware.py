"""Choosing firmware from the descriptors of a host."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from virt_qemu.firmware import Descriptor, FirmwareCatalog
from virtcore.errors import OperationFailed
from virtcore.model.domain.document import format_domain
from virtcore.model.domain.os import Firmware, LoaderType, NVRAMStore
from virtcore.model.storage.source import StorageFormat


@pytest.fixture
def load(load: Any) -> Any:
    """UEFI on a PC requires ACPI."""
    return functools.partial(load, rest="<features><acpi/></features>")


def descriptor(name: str, *features: str, format: str = "raw", machine: str = "q35") -> str:
    return json.dumps(
        {
            "interface-types": ["uefi"],
            "mapping": {
                "device": "flash",
                "executable": {"filename": f"/fw/{name}_CODE.{format}", "format": format},
                "nvram-template": {"filename": f"/fw/{name}_VARS.{format}", "format": format},
            },
            "targets": [{"architecture": "x86_64", "machines": [machine]}],
            "features": list(features),
        }
    )


@pytest.fixture
def host(tmp_path: Path) -> tuple[Path, FirmwareCatalog]:
    packages, admin = tmp_path / "usr/share/qemu/firmware", tmp_path / "etc/qemu/firmware"
    packages.mkdir(parents=True)
    admin.mkdir(parents=True)
    (packages / "10-secure.json").write_text(descriptor("secure", "requires-smm", "secure-boot", "enrolled-keys"))
    (packages / "20-qcow2.json").write_text(descriptor("new", format="qcow2"))
    (packages / "30-plain.json").write_text(descriptor("plain"))
    (packages / "99-broken.json").write_text("{")
    return tmp_path, FirmwareCatalog.of_host("/nvram", root=tmp_path)


def test_first_that_suits_is_taken(load: Any, host: Any) -> None:
    domain = load(os_attributes="firmware='efi'", machine="q35", firmware=host[1])
    assert domain.os.loader.path == "/fw/secure_CODE.raw"
    assert domain.os.loader.secure is True
    assert domain.features.smm.state is True
    assert domain.os.nvram == NVRAMStore(
        template="/fw/secure_VARS.raw",
        template_format=StorageFormat.RAW,
        format=StorageFormat.RAW,
        path="/nvram/guest_VARS.fd",
    )
    assert [(str(f.name), f.enabled) for f in domain.os.firmware_features] == [
        ("enrolled-keys", True),
        ("secure-boot", True),
    ]


def test_new_domains_may_get_newer_formats_and_stored_ones_stay_raw(load: Any, host: Any) -> None:
    refused = "<firmware><feature enabled='no' name='secure-boot'/></firmware>"
    wish = {"os_attributes": "firmware='efi'", "os": refused, "machine": "q35", "firmware": host[1]}
    assert load(**wish).os.loader.path == "/fw/plain_CODE.raw"
    new = load(**wish, new=True)
    assert new.os.loader.path == "/fw/new_CODE.qcow2"
    assert new.os.nvram.path == "/nvram/guest_VARS.qcow2"


def test_the_administrator_masks_a_package(load: Any, host: Any) -> None:
    root, catalog = host
    (root / "etc/qemu/firmware/10-secure.json").touch()
    domain = load(os_attributes="firmware='efi'", machine="q35", firmware=catalog)
    assert domain.os.loader.path == "/fw/plain_CODE.raw"
    (root / "etc/qemu/firmware/00-mine.json").write_text(descriptor("mine"))
    assert catalog.descriptors()[0].path == "/fw/mine_CODE.raw", "a folder that changed is read again"


def test_a_known_path_tells_the_rest(load: Any, host: Any) -> None:
    loader = "<loader readonly='yes' type='pflash'>/fw/plain_CODE.raw</loader>"
    domain = load(os=loader, machine="q35", firmware=host[1])
    assert domain.os.firmware is Firmware.EFI
    assert domain.os.nvram.template == "/fw/plain_VARS.raw"


@pytest.mark.parametrize(
    ("path", "template"),
    [("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"), ("/my/own.fd", None)],
)
def test_paths_without_a_descriptor(load: Any, host: Any, path: str, template: str | None) -> None:
    domain = load(os=f"<loader readonly='yes' type='pflash'>{path}</loader>", machine="q35", firmware=host[1])
    assert (domain.os.nvram.template, domain.os.nvram.path) == (template, "/nvram/guest_VARS.fd")
    assert (domain.os.loader.type, domain.os.loader.format) == (LoaderType.PFLASH, "raw")


def test_variables_elsewhere_have_no_template(load: Any, host: Any) -> None:
    nvram = "<nvram type='network'><source protocol='nbd'><host name='h'/></source></nvram>"
    domain = load(os_attributes="firmware='efi'", os=nvram, machine="q35", firmware=host[1])
    assert domain.os.nvram.template is None
    assert [str(feature.name) for feature in domain.os.firmware_features] == ["secure-boot"]


def test_nothing_suits(load: Any, host: Any) -> None:
    with pytest.raises(OperationFailed, match="Unable to find 'efi' firmware that is compatible"):
        load(os_attributes="firmware='efi'", machine="pc", firmware=host[1], new=True)
    # One that is stored does not vanish because its firmware has.
    kept = load(os_attributes="firmware='efi'", machine="pc", firmware=host[1])
    assert kept.os.loader.path is None


def test_what_was_chosen_is_chosen_again(load: Any, host: Any) -> None:
    first = load(os_attributes="firmware='efi'", machine="q35", firmware=host[1])
    os = first.os
    text = format_domain(first)
    again = load(
        os_attributes="firmware='efi'",
        os=text[text.index("<firmware>") : text.index("<boot ")],
        machine="q35",
        firmware=host[1],
    )
    assert again.os == os


@pytest.mark.parametrize("text", ["[]", "{}", '{"mapping": {"device": "tape"}}'])
def test_no_descriptor(text: str) -> None:
    with pytest.raises(ValueError, match=r"description|device"):
        Descriptor.parse(text)
