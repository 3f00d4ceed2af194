"""Capabilities of hosts and of domains: every part of them read, printed as libvirt does, asked for."""

from __future__ import annotations

import pytest

from virtcore.errors import VirtError
from virtcore.model.capabilities import Capabilities, format_capabilities, parse_capabilities
from virtcore.model.domain_capabilities import (
    CustomMode,
    ModelBlockers,
    SelectableModel,
    format_domain_capabilities,
    parse_domain_capabilities,
)

HOST = """\
<capabilities>

  <host>
    <uuid>11111111-2222-3333-4444-555555555555</uuid>
    <cpu>
      <arch>x86_64</arch>
      <features>
        <pae/>
        <svm/>
      </features>
      <model>EPYC</model>
      <vendor>AMD</vendor>
      <microcode version='36'/>
      <signature family='23' model='1' stepping='2'/>
      <counter name='tsc' frequency='2899999000' scaling='no'/>
      <topology sockets='1' dies='1' clusters='1' cores='6' threads='2'/>
      <maxphysaddr mode='emulate' bits='48'/>
      <feature name='ht'/>
      <pages unit='KiB' size='4'/>
    </cpu>
    <power_management>
      <suspend_mem/>
      <suspend_hybrid/>
    </power_management>
    <iommu support='yes'/>
    <migration_features>
      <live/>
      <uri_transports>
        <uri_transport>tcp</uri_transport>
        <uri_transport>rdma</uri_transport>
      </uri_transports>
    </migration_features>
    <netprefix>vnet</netprefix>
    <topology>
      <cells num='1'>
        <cell id='0'>
          <memory unit='KiB'>1048576</memory>
          <pages unit='KiB' size='4'>2048</pages>
          <distances>
            <sibling id='0' value='10'/>
          </distances>
          <cache level='1' associativity='direct' policy='writeback'>
            <size value='10' unit='KiB'/>
            <line value='8' unit='B'/>
          </cache>
          <cpus num='2'>
            <cpu id='0' socket_id='0' die_id='0' cluster_id='0' core_id='0' siblings='0-1'/>
            <cpu id='1'/>
          </cpus>
        </cell>
      </cells>
      <interconnects>
        <latency initiator='0' target='0' type='read' value='6'/>
        <bandwidth initiator='0' target='0' cache='1' type='write' value='206848' unit='KiB'/>
      </interconnects>
    </topology>
    <cache>
      <bank id='0' level='3' type='both' size='15' unit='MiB' cpus='0-1'>
        <control granularity='768' min='1536' unit='KiB' type='code' maxAllocs='4'/>
      </bank>
      <monitor level='3' reuseThreshold='270336' maxMonitors='176'>
        <feature name='llc_occupancy'/>
      </monitor>
    </cache>
    <memory_bandwidth>
      <node id='0' cpus='0-1'>
        <control granularity='10' min='10' maxAllocs='4'/>
      </node>
      <monitor maxMonitors='176'>
        <feature name='mbm_total_bytes'/>
      </monitor>
    </memory_bandwidth>
    <secmodel>
      <model>dac</model>
      <doi></doi>
      <baselabel type='kvm'>+107:+107</baselabel>
    </secmodel>
  </host>

  <guest>
    <os_type>hvm</os_type>
    <arch name='x86_64'>
      <wordsize>64</wordsize>
      <emulator>/usr/bin/qemu</emulator>
      <loader>/loader</loader>
      <machine maxCpus='255' deprecated='yes'>pc-1</machine>
      <machine canonical='pc-1'>pc</machine>
      <domain type='qemu'/>
      <domain type='kvm'>
        <emulator>/usr/bin/kvm</emulator>
        <machine>pc-2</machine>
      </domain>
    </arch>
    <features>
      <acpi default='on' toggle='yes'/>
      <cpuselection/>
      <externalSnapshot/>
    </features>
  </guest>

  <guest>
    <os_type>exe</os_type>
    <arch name='i686'>
      <wordsize>32</wordsize>
      <domain type='lxc'/>
    </arch>
  </guest>

</capabilities>
"""

DOMAIN = """\
<domainCapabilities>
  <path>/usr/bin/qemu</path>
  <domain>kvm</domain>
  <machine>pc</machine>
  <arch>x86_64</arch>
  <vcpu max='255'/>
  <iothreads supported='yes'/>
  <os supported='yes'>
    <enum name='firmware'/>
    <loader supported='yes'>
      <value>/fw</value>
      <enum name='secure'>
        <value>no</value>
      </enum>
    </loader>
  </os>
  <cpu>
    <mode name='host-passthrough' supported='yes'>
      <enum name='hostPassthroughMigratable'>
        <value>on</value>
      </enum>
    </mode>
    <mode name='maximum' supported='no'/>
    <mode name='host-model' supported='yes'>
      <model fallback='forbid'>EPYC</model>
      <vendor>AMD</vendor>
      <maxphysaddr mode='passthrough' limit='64'/>
      <feature policy='require' name='ht'/>
    </mode>
    <mode name='custom' supported='yes'>
      <model usable='no' deprecated='yes' vendor='Intel' canonical='Icelake-Client-v1'>Icelake-Client</model>
      <blockers model='Icelake-Client'>
        <feature name='avx'/>
      </blockers>
      <model usable='yes' vendor='unknown'>qemu64</model>
    </mode>
  </cpu>
  <memoryBacking supported='no'/>
  <devices>
    <disk supported='yes'>
      <enum name='bus'>
        <value>virtio</value>
        <value>sata</value>
      </enum>
    </disk>
    <panic supported='no'/>
  </devices>
  <features>
    <gic supported='no'/>
    <async-teardown supported='no'/>
    <sev supported='yes'>
      <cbitpos>51</cbitpos>
      <reducedPhysBits>1</reducedPhysBits>
      <maxGuests>59</maxGuests>
      <maxESGuests>450</maxESGuests>
      <cpu0Id>AAAA</cpu0Id>
    </sev>
    <sgx supported='yes'>
      <flc>no</flc>
      <sgx1>yes</sgx1>
      <sgx2>no</sgx2>
      <section_size unit='KiB'>524288</section_size>
      <sections>
        <section node='0' size='262144' unit='KiB'/>
      </sections>
    </sgx>
    <launchSecurity supported='yes'>
      <enum name='sectype'>
        <value>sev</value>
      </enum>
    </launchSecurity>
  </features>
</domainCapabilities>
"""


def test_a_host_is_printed_as_it_was_read() -> None:
    capabilities = parse_capabilities(HOST)
    assert format_capabilities(capabilities) == HOST
    host = capabilities.host
    assert host is not None
    assert host.topology is not None
    assert host.topology.cells is not None
    cell = host.topology.cells.cells[0]
    assert (cell.memory, cell.pages[0].count, len(cell.cpus.cpus if cell.cpus else ())) == (1048576, 2048, 2)
    assert [domain.type for domain in capabilities.guests[0].arch.domains] == ["qemu", "kvm"]  # type: ignore[union-attr]


def test_an_empty_host_has_its_lines_too() -> None:
    assert format_capabilities(Capabilities()) == "<capabilities>\n\n</capabilities>\n"


def test_what_is_not_known_is_kept() -> None:
    text = HOST.replace("    <iommu ", "    <news/>\n    <iommu ")
    assert format_capabilities(parse_capabilities(text)) == text


def test_domain_capabilities_are_printed_as_they_were_read() -> None:
    capabilities = parse_domain_capabilities(DOMAIN)
    assert format_domain_capabilities(capabilities) == DOMAIN
    assert capabilities.devices is not None
    assert capabilities.devices.disk is not None
    assert capabilities.devices.disk.values("bus") == ["virtio", "sata"]
    assert capabilities.devices.disk.values("model") == []
    assert capabilities.cpu is not None
    custom = capabilities.cpu.modes[3]
    assert isinstance(custom, CustomMode)
    assert [type(entry) for entry in custom.models] == [SelectableModel, ModelBlockers, SelectableModel]


@pytest.mark.parametrize(
    ("old", "new", "message", "path"),
    [
        (
            "<domain>kvm",
            "<domain>zx",
            "unsupported configuration: invalid domain type zx",
            "/domainCapabilities/domain",
        ),
        ("<arch>x86_64", "<arch>z80", "XML error: Unknown architecture z80", "/domainCapabilities/arch"),
        (
            "<disk supported='yes'>",
            "<disk>",
            "XML error: Missing required attribute 'supported' in element 'disk'",
            "/domainCapabilities/devices/disk/@supported",
        ),
    ],
)
def test_refusals(old: str, new: str, message: str, path: str) -> None:
    with pytest.raises(VirtError) as caught:
        parse_domain_capabilities(DOMAIN.replace(old, new))
    assert (str(caught.value), caught.value.path) == (message, path)
