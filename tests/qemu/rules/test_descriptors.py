"""Descriptors of firmware images and vhost-user programs: which files count, what is none."""

from __future__ import annotations

import pytest

from virt_qemu.descriptors import descriptor_files, descriptor_folders
from virt_qemu.firmware import Descriptor
from virt_qemu.vhost_user import VhostUserProgram


def test_files_mask_each_other(tmp_path):
    config = tmp_path / "home"
    packages, admin, user = descriptor_folders("vhost-user", root=tmp_path, config=config)
    for folder, names in ((packages, ("10-a", "20-b", "30-c")), (admin, ("20-b",)), (user, ("40-d",))):
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.json").write_text("{}")
    (admin / "30-c.json").write_text("")
    (admin / ".hidden.json").write_text("{}")
    assert descriptor_files([packages, admin, user]) == [
        packages / "10-a.json",
        admin / "20-b.json",
        user / "40-d.json",
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type": "gpu"}', '{"type": "toaster", "binary": "/x"}'])
def test_what_is_no_program(text):
    with pytest.raises(ValueError, match=r".*"):
        VhostUserProgram.parse(text)


def test_features_that_nobody_knows_are_left_out():
    text = """{"interface-types": ["uefi"], "mapping": {"device": "memory", "filename": "/x"},
               "targets": [{"architecture": "i386", "machines": ["pc"]}], "features": ["acpi-s3", "warp"]}"""
    document = Descriptor.parse(text).document()
    assert document["features"] == ["acpi-s3"]
    assert document["targets"] == [{"architecture": "i386", "machines": ["pc"]}]
