"""Our client on the real libvirtd: networks, storage, secrets, devices, interfaces, filters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import virtcore
from compat.conftest import uri
from virtcore.enums import (
    ConnectListAllNetworksFlags,
    ConnectListAllNodeDeviceFlags,
    NetworkUpdateCommand,
    NetworkUpdateSection,
    SecretUsageType,
    StoragePoolState,
    StorageVolDownloadFlags,
    StorageVolType,
    StorageVolUploadFlags,
)
from virtcore.errors import (
    NoInterface,
    NoNetwork,
    NoNodeDevice,
    NoNWFilter,
    NoSecret,
    NoStoragePool,
    NoStorageVol,
    NoSupport,
    OperationDenied,
)

NETWORK = "<network><name>ours</name><bridge name='virbr77'/><ip address='10.9.8.1' netmask='255.255.255.0'/></network>"
POOL = "<pool type='dir'><name>ours</name><target><path>{path}</path></target></pool>"
VOLUME = "<volume><name>{name}</name><capacity>1048576</capacity><target><format type='{format}'/></target></volume>"
SECRET = "<secret ephemeral='no' private='no'><usage type='volume'><volume>/ours</volume></usage></secret>"
FILTER = "<filter name='ours'><rule action='drop' direction='in'><tcp/></rule></filter>"


@pytest.fixture
def test_driver(libvirtd: Path) -> Iterator[virtcore.Connection]:
    with virtcore.connect(uri("test+unix:///default", libvirtd)) as connection:
        yield connection


@pytest.fixture
def system(libvirtd: Path) -> Iterator[virtcore.Connection]:
    with virtcore.connect(uri("qemu+unix:///system", libvirtd)) as connection:
        yield connection


def test_networks(test_driver: virtcore.Connection) -> None:
    (default,) = test_driver.list_networks(ConnectListAllNetworksFlags.ACTIVE)
    assert default == test_driver.lookup_network("default") == test_driver.lookup_network(uuid=default.uuid)
    assert default.bridge_name() == "virbr0"
    network = test_driver.define_network(NETWORK)
    assert network.is_persistent()
    assert not network.is_active()
    network.set_autostart(True)
    assert network.autostart() is True
    network.create()
    assert network.is_active()
    assert "<name>ours</name>" in network.xml()
    with pytest.raises(NoSupport, match="virNetworkGetDHCPLeases"):
        default.dhcp_leases()
    network.destroy()
    dhcp = "<ip address='10.9.8.1' netmask='255.255.255.0'><dhcp><range start='10.9.8.2' end='10.9.8.9'/></dhcp></ip>"
    plain = "<ip address='10.9.8.1' netmask='255.255.255.0'/>"
    network = test_driver.define_network(NETWORK.replace(plain, dhcp + f"<uuid>{network.uuid}</uuid>"))
    host = "<host mac='52:54:00:00:00:01' ip='10.9.8.7'/>"
    network.update(NetworkUpdateCommand.ADD_FIRST, NetworkUpdateSection.IP_DHCP_HOST, -1, host)
    assert "ip='10.9.8.7'" in network.xml()
    network.undefine()
    with pytest.raises(NoNetwork):
        test_driver.lookup_network("ours")


def test_storage_of_the_test_driver(test_driver: virtcore.Connection) -> None:
    (pool,) = test_driver.list_storage_pools()
    info = pool.info()
    assert info.state is StoragePoolState.RUNNING
    assert info.capacity == info.allocation + info.available
    volume = pool.create_volume(VOLUME.format(name="ours", format="raw"))
    assert (volume.pool, volume.name) == (pool.name, "ours")
    assert volume == test_driver.lookup_storage_vol(volume.key) == test_driver.lookup_storage_vol(path=volume.path())
    assert volume == pool.lookup_volume("ours")
    assert volume in pool.list_volumes()
    assert volume.info() == (StorageVolType.FILE, 1048576, 1048576)
    assert test_driver.lookup_storage_pool(volume=volume) == pool
    clone = pool.clone_volume(VOLUME.format(name="clone", format="raw"), volume)
    clone.delete()
    volume.delete()
    with pytest.raises(NoStorageVol):
        pool.lookup_volume("ours")
    with pytest.raises(NoStoragePool):
        test_driver.lookup_storage_pool("nowhere")


def test_devices_and_interfaces_of_the_test_driver(test_driver: virtcore.Connection) -> None:
    devices = test_driver.list_node_devices()
    assert "computer" in [device.name for device in devices]
    computer = test_driver.lookup_node_device("computer")
    assert computer.parent() is None
    assert computer.capabilities() == ["system"]
    assert "<name>computer</name>" in computer.xml()
    assert test_driver.list_node_devices("system") == [computer]
    assert test_driver.list_node_devices(flags=ConnectListAllNodeDeviceFlags.CAP_SYSTEM) == [computer]
    with pytest.raises(NoNodeDevice):
        test_driver.lookup_node_device("nowhere")
    (interface,) = test_driver.list_interfaces()
    assert interface == test_driver.lookup_interface(mac=interface.mac)
    assert interface.is_active()
    test_driver.interface_begin()
    test_driver.interface_commit()
    with pytest.raises(NoInterface):
        test_driver.lookup_interface("nowhere0")


def test_a_volumes_content(system: virtcore.Connection, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    pool = system.create_storage_pool(POOL.format(path=tmp_path))
    try:
        volume = pool.create_volume(VOLUME.format(name="ours", format="raw"))
        with volume.upload() as stream:
            stream.write(b"begin" * 1000)
        with volume.download(0, 7) as stream:
            assert b"".join(stream) == b"beginbe"
        holed = pool.create_volume(
            VOLUME.format(name="holed", format="raw").replace("<t", "<allocation>0</allocation><t")
        )
        with holed.upload(flags=StorageVolUploadFlags.SPARSE_STREAM) as stream:
            stream.write_hole(65536)
            stream.write(b"x" * 4096)
            stream.write_hole(1048576 - 65536 - 4096)
        with holed.download(flags=StorageVolDownloadFlags.SPARSE_STREAM) as stream:
            parts = list(iter(stream.read_sparse, b""))
        assert parts[0] == 65536
        assert b"".join(part for part in parts if isinstance(part, bytes)).rstrip(b"\0") == b"x" * 4096
        assert sum(part if isinstance(part, int) else len(part) for part in parts) == 1048576
        holed.delete()
        volume.resize(2097152)
        assert volume.info().capacity == 2097152
        volume.wipe()
        assert volume.path() == str(tmp_path / "ours")
        volume.delete()
    finally:
        pool.destroy()


def test_secrets(system: virtcore.Connection, libvirtd: Path) -> None:
    secret = system.define_secret(SECRET)
    try:
        assert (secret.usage_type, secret.usage_id) == (SecretUsageType.VOLUME, "/ours")
        assert secret == system.lookup_secret(usage_type=SecretUsageType.VOLUME, usage_id="/ours")
        assert secret == system.lookup_secret(secret.uuid)
        secret.set_value(b"\0value\xff")
        assert secret.value() == b"\0value\xff"
        assert secret in system.list_secrets()
        assert "value" not in secret.xml()
        reading = virtcore.connect(uri("qemu+unix:///system", libvirtd), readonly=True)
        with reading as reader, pytest.raises(OperationDenied):
            reader.secret(secret.ref).value()
    finally:
        secret.undefine()
    with pytest.raises(NoSecret):
        system.lookup_secret(secret.uuid)


def test_filters(system: virtcore.Connection) -> None:
    filter_ = system.define_nwfilter(FILTER)
    try:
        assert filter_ == system.lookup_nwfilter("ours") == system.lookup_nwfilter(uuid=filter_.uuid)
        assert filter_ in system.list_nwfilters()
        assert "<tcp/>" in filter_.xml()
        assert system.list_nwfilter_bindings() == []
    finally:
        filter_.undefine()
    with pytest.raises(NoNWFilter):
        system.lookup_nwfilter("ours")
