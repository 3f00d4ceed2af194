"""The test driver through the public API."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import virtcore
from virtcore import errors
from virtcore.builtin.test.driver import TestDriver
from virtcore.builtin.test.host import DEFAULT_NODE
from virtcore.builtin.test.opening import DEFAULT_DOMAIN, DEFAULT_FACTS, OpeningDriver
from virtcore.builtin.test.rules import TestRules
from virtcore.builtin.test.state import TestState
from virtcore.enums import (
    DomainControlState,
    DomainPausedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainState,
    DomainVcpuFlags,
    DomainXMLFlags,
)
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.rules import ParseFlag
from virtcore.operations.events import DomainLifecycleEvent, Event

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
#: What libvirt's driver makes the default domain from.
SOURCE = f"""\
<domain type='test'><name>test</name><uuid>{UUID}</uuid>
<memory>8388608</memory><currentMemory>2097152</currentMemory><vcpu>2</vcpu><os><type>hvm</type></os>
<devices>
<disk type='file' device='disk'><source file='/guest/diskimage1'/><target dev='vda' bus='virtio'/>
<address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></disk>
<interface type='network'><mac address='aa:bb:cc:dd:ee:ff'/><source network='default' bridge='virbr0'/>
<address type='pci' domain='0x0000' bus='0x00' slot='0x1' function='0x0'/></interface>
<memballoon model='virtio'><address type='pci' domain='0x0000' bus='0x00' slot='0x2' function='0x0'/></memballoon>
</devices></domain>"""


@pytest.fixture
def connection() -> Iterator[virtcore.Connection]:
    with virtcore.connect("test:///default") as opened:
        yield opened


@pytest.fixture
def domain(connection: virtcore.Connection) -> virtcore.Domain:
    return connection.lookup_domain(name="test")


def small(name: str, more: str = "") -> str:
    return f"<domain type='test'><name>{name}</name><memory>1024</memory>{more}<os><type>hvm</type></os></domain>"


def test_the_default_domain_is_what_its_source_gives() -> None:
    rules = TestRules()
    state = TestState()
    for text in (SOURCE, DEFAULT_DOMAIN):
        assert format_domain(state.load(text, ParseFlag.INACTIVE)) == DEFAULT_DOMAIN
    loaded = load_domain(DEFAULT_DOMAIN, rules, rules.context())
    assert {**state.facts_of(loaded), "plain": True} == DEFAULT_FACTS


def test_the_host(connection: virtcore.Connection) -> None:
    assert connection.type() == "TEST"
    assert connection.version() == 2
    assert connection.lib_version() == 11_003_000
    assert connection.uri() == "test:///default"
    assert connection.max_vcpus() == 32
    assert connection.node_info() == DEFAULT_NODE
    assert connection.node_free_memory() == 3 * 1024 * 1024
    assert connection.security_model() == ("testSecurity", "")
    assert connection.is_alive()
    assert connection.is_secure()
    assert not connection.is_encrypted()
    with pytest.raises(errors.NoSupport):
        connection.node_memory_parameters()


def test_domain_capabilities(connection: virtcore.Connection) -> None:
    assert connection.domain_capabilities().splitlines()[:3] == [
        "<domainCapabilities>",
        "  <domain>test</domain>",
        "  <arch>i686</arch>",
    ]
    text = connection.domain_capabilities(emulator="/a&b", arch="ppc64", machine="m", virttype="kvm")
    assert text.splitlines()[1:5] == [
        "  <path>/a&amp;b</path>",
        "  <domain>kvm</domain>",
        "  <machine>m</machine>",
        "  <arch>ppc64</arch>",
    ]
    with pytest.raises(errors.InvalidArg, match="unknown architecture: pdp11"):
        connection.domain_capabilities(arch="pdp11")
    with pytest.raises(errors.InvalidArg, match="unknown virttype: none of it"):
        connection.domain_capabilities(virttype="none of it")


def test_the_default_domain(connection: virtcore.Connection, domain: virtcore.Domain) -> None:
    assert (domain.name, domain.uuid, domain.id) == ("test", UUID, 1)
    assert connection.list_domains() == [domain]
    assert connection.lookup_domain(id=1) == connection.lookup_domain(uuid=UUID) == domain
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.UNKNOWN)
    assert domain.info()[:4] == (DomainState.RUNNING, 8388608, 2097152, 2)
    assert abs(domain.info().cpu_time - time.time_ns()) < 10**11
    assert domain.os_type() == "linux"
    assert domain.max_memory() == 8388608
    assert domain.vcpus_count() == 2
    assert domain.vcpus_count(DomainVcpuFlags.CONFIG | DomainVcpuFlags.MAXIMUM) == 2
    assert domain.is_active()
    assert domain.is_persistent()
    assert not domain.is_updated()
    assert not domain.has_managed_save()
    assert domain.control_info() == (DomainControlState.OK, 0, 0)
    assert domain.security_labels() == [("libvirt-test", True)]
    assert domain.messages() == []
    assert domain.xml() == DEFAULT_DOMAIN.replace("<domain type='test'>", "<domain type='test' id='1'>")
    assert domain.xml(DomainXMLFlags.INACTIVE) == DEFAULT_DOMAIN
    (row,) = connection.domain_stats()
    assert dict(row.params.items()) == {"state.state": 1, "state.reason": 0}


def test_life(connection: virtcore.Connection, domain: virtcore.Domain) -> None:
    domain.suspend()
    assert domain.state() == (DomainState.PAUSED, DomainPausedReason.USER)
    with pytest.raises(errors.InternalError, match="internal error: domain 'test' not running"):
        domain.suspend()
    domain.resume()
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.UNPAUSED)
    with pytest.raises(errors.InternalError, match="internal error: domain 'test' not paused"):
        domain.resume()
    domain.reset()
    domain.reboot()  # on_reboot is restart
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.BOOTED)
    domain.shutdown()
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.SHUTDOWN)
    assert connection.list_domains()[0].id == -1
    with pytest.raises(errors.InternalError, match="domain 'test' not running"):
        domain.shutdown()
    for refused in (domain.destroy, domain.reboot, domain.reset, domain.control_info):
        with pytest.raises(errors.OperationInvalid, match="Requested operation is not valid: domain is not running"):
            refused()
    domain.create()
    assert domain.id == 2
    with pytest.raises(errors.InternalError, match="Domain 'test' is already running"):
        domain.create()
    domain.destroy()
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.DESTROYED)
    assert domain.security_labels() == [("", False)]
    domain.set_autostart(True)
    assert domain.autostart()
    domain.undefine()
    with pytest.raises(errors.NoDomain) as caught:
        domain.state()
    assert str(caught.value) == f"Domain not found: no domain with matching uuid '{UUID}' (test)"
    for wanted in ({"name": "test"}, {"uuid": UUID}, {"id": 1}):
        with pytest.raises(errors.NoDomain, match=r"^Domain not found$"):
            connection.lookup_domain(**wanted)  # type: ignore[arg-type]


def test_on_poweroff_restart(connection: virtcore.Connection) -> None:
    domain = connection.create_domain(small("a", "<on_poweroff>restart</on_poweroff><on_reboot>destroy</on_reboot>"))
    domain.shutdown()
    assert domain.state() == (DomainState.RUNNING, DomainRunningReason.BOOTED)
    domain.reboot()
    with pytest.raises(errors.NoDomain):
        domain.state()


def test_a_transient_domain_may_be_undefined_here(connection: virtcore.Connection) -> None:
    domain = connection.create_domain(small("a"))
    domain.undefine()
    domain.set_autostart(True)
    assert domain.is_active()


def test_interfaces_get_names(connection: virtcore.Connection) -> None:
    unnamed, named = "<interface type='user'/>", "<interface type='user'><target dev='testnet0'/></interface>"
    xml = small("a").replace("</domain>", f"<devices>{unnamed}{named}{unnamed}</devices></domain>")
    domain = connection.define_domain(xml)
    text = domain.xml()
    assert [f"testnet{number}" in text for number in range(4)] == [True, True, True, False]


def test_a_default_video_card(connection: virtcore.Connection) -> None:
    for os_type, model in (("hvm", "cirrus"), ("xen", "xen")):
        xml = small(os_type).replace("hvm</type>", f"{os_type}</type>")
        xml = xml.replace("</domain>", "<devices><video/></devices></domain>")
        assert f"<model type='{model}'" in connection.define_domain(xml).xml()


def test_connections_share_the_default_host() -> None:
    with virtcore.connect("test:///default") as first:
        with virtcore.connect("test:///default") as second:
            second.define_domain(small("shared"))
        assert {domain.name for domain in first.list_domains()} == {"test", "shared"}
    with virtcore.connect("test:///default") as fresh:
        assert [domain.name for domain in fresh.list_domains()] == ["test"]


def test_events_reach_every_connection(connection: virtcore.Connection) -> None:
    import queue

    with virtcore.connect("test:///default") as other:
        events: queue.Queue[Event] = queue.Queue()
        other.on_event(events.put, DomainLifecycleEvent)
        connection.create_domain(small("a")).destroy()
        started, stopped = events.get(timeout=60), events.get(timeout=60)
    assert isinstance(started, DomainLifecycleEvent)
    assert isinstance(stopped, DomainLifecycleEvent)
    assert (started.domain.name, started.type, started.detail) == ("a", 2, 0)
    assert (stopped.type, stopped.detail) == (5, 1)


def test_the_console_echoes(domain: virtcore.Domain) -> None:
    with domain.open_console() as console:
        console.write(b"hello")
        assert console.read(3) == b"hel"
        assert console.read(100) == b"lo"
        console.finish()
    domain.destroy()
    with pytest.raises(errors.OperationInvalid, match="domain is not running"):
        domain.open_console()


def test_uris() -> None:
    for uri in ("test:///", "test://"):
        with pytest.raises(errors.InvalidArg) as caught:
            virtcore.connect(uri)
        assert str(caught.value) == "invalid argument: testOpen: supply a path or use test:///default"


def test_readonly() -> None:
    with virtcore.connect("test:///default", readonly=True) as connection:
        domain = connection.lookup_domain(name="test")
        with pytest.raises(errors.OperationDenied, match="read only access prevents virDomainDestroy"):
            domain.destroy()
        assert domain.is_active()


def test_first_answers_are_those_of_the_whole_driver() -> None:
    assert OpeningDriver.first is not None
    for name in OpeningDriver.first:
        assert getattr(TestDriver, name) is getattr(OpeningDriver, name), name


def test_the_rest_is_loaded_when_it_is_asked_for() -> None:
    with virtcore.connect("test:///default") as connection:
        driver: object = connection.session.driver
        assert type(driver) is OpeningDriver
        (domain,) = connection.list_domains()
        assert domain.state().state == DomainState.RUNNING
        assert type(driver) is OpeningDriver
        assert connection.list_networks()  # a service of the driver's own
        domain.suspend()
        assert type(driver) is TestDriver
        assert domain.state().state == DomainState.PAUSED
        with virtcore.connect("test:///default") as another:  # they share what is there
            (same,) = another.list_domains()
            assert same.state().state == DomainState.PAUSED
