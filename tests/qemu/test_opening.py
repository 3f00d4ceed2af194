"""What is loaded to open a connection, and when the rest is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

import virtcore
from virt_qemu.driver import QemuDriver
from virt_qemu.host import QemuState
from virt_qemu.opening import OpeningDriver, OpeningState
from virtcore.runtime.session import Session

XML = "<domain type='qemu'><name>one</name><memory>1024</memory><os><type arch='x86_64'>hvm</type></os></domain>"


def driver_of(connection: virtcore.Connection) -> Any:
    return cast(Session, connection._session).driver


def test_first_answers_are_those_of_the_whole_driver() -> None:
    assert OpeningDriver.first is not None
    assert QemuDriver.first is None
    for name in OpeningDriver.first:
        assert getattr(QemuDriver, name) is getattr(OpeningDriver, name), name
    assert QemuDriver.function_prefix == OpeningDriver.function_prefix == "qemu"


def test_the_rest_is_loaded_when_it_is_asked_for(tmp_path: Path) -> None:
    with virtcore.connect(f"qemu:///embed?root={tmp_path}") as connection:
        assert connection.list_domains() == []
        driver = driver_of(connection)
        assert type(driver) is OpeningDriver
        assert type(driver.state) is OpeningState
        assert connection.supports("domain_suspend")
        domain = connection.define_domain(XML)
        assert type(driver) is QemuDriver
        assert type(driver.state) is QemuState
        with virtcore.connect(f"qemu:///embed?root={tmp_path}") as another:  # which has the same state
            assert [each.name for each in another.list_domains()] == ["one"]
            assert type(driver_of(another)) is QemuDriver
        domain.undefine()


@pytest.mark.parametrize("left", ["lib/qemu/save/some.save", "run/qemu/domain-1-some/pid", "etc/qemu.conf"])
def test_what_guests_have_left_is_looked_at_at_once(tmp_path: Path, left: str) -> None:
    (tmp_path / left).parent.mkdir(parents=True)
    (tmp_path / left).touch()
    with virtcore.connect(f"qemu:///embed?root={tmp_path}") as connection:
        assert type(driver_of(connection)) is QemuDriver


def test_a_definition_that_somebody_has_edited_is_read_by_the_drivers_rules(tmp_path: Path) -> None:
    uri = f"qemu:///embed?root={tmp_path}"
    with virtcore.connect(uri) as connection:
        connection.define_domain(XML)
    (stored,) = (tmp_path / "etc" / "qemu").glob("*.xml")
    stored.write_text(stored.read_text().replace("<name>one<", "<name>two<"))
    with virtcore.connect(uri) as connection:
        (domain,) = connection.list_domains()
        assert domain.name == "two"
        assert type(driver_of(connection)) is QemuDriver


def test_listing_loads_no_model(tmp_path: Path) -> None:
    code = (
        "import json, sys, virtcore\n"
        f"with virtcore.connect('qemu:///embed?root={tmp_path}') as connection: connection.list_domains()\n"
        "print(json.dumps(list(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    modules = json.loads(told)
    assert not {"lxml", "attr", "virtcore.xml", "virtcore.model.domain", "virt_host.description"} & set(modules)
    assert sum(name.startswith("virt_qemu.") for name in modules) <= 5
