"""Commands about processor models: which there are, what processors have in common, how one compares."""

from __future__ import annotations

from collections.abc import Sequence

from virt_shell.command import Arguments, CommandError, command, data, flag, string
from virt_shell.shell import Shell
from virt_shell.text import read_file, typed_value
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.enums import CPUCompareResult

_FEATURES = flag("features", "Show features that are part of the CPU model type")
_MIGRATABLE = flag("migratable", "Do not include features that block migration")
_ERROR = flag("error", "report error if CPUs are incompatible")
_VALIDATE = flag("validate", "validate the XML document against schema")
_VIRTTYPE = ("virttype", "virtualization type (/domain/@type)")
_EMULATOR = ("emulator", "path to emulator binary (/domain/devices/emulator)")
_ARCH = ("arch", "CPU architecture (/domain/os/type/@arch)")
_MACHINE = ("machine", "machine type (/domain/os/type/@machine)")
#: Which hypervisor is asked.
_HYPERVISOR = tuple(string(*words, unwanted_positional=True) for words in (_VIRTTYPE, _EMULATOR, _ARCH, _MACHINE))
#: option -> name of the ConnectCompareCPUFlags or ConnectBaselineCPUFlags member
_COMPARE = {"error": "FAIL_INCOMPATIBLE", "validate": "VALIDATE_XML"}
_BASELINE = {"features": "EXPAND_FEATURES", "migratable": "MIGRATABLE"}


def _hypervisor(args: Arguments) -> tuple[str | None, str | None, str | None, str | None]:
    """Emulator, architecture, machine and domain type."""
    return args.get("emulator"), args.get("arch"), args.get("machine"), args.get("virttype")


def _cpus(path: str) -> list[str]:
    """The ``cpu`` elements in a file: alone, or of domains, of capabilities, of domain capabilities.

    :raises CommandError: there is none, or the file is no XML.
    """
    from lxml import etree

    text = read_file(path)
    if text.startswith("<?xml") and "?>" in text:
        text = text.partition("?>")[2]
    try:
        root = etree.fromstring(f"<container>{text}</container>".encode("utf-8", "surrogateescape"))
    except etree.XMLSyntaxError as problem:
        raise CommandError(f"(container):{problem.lineno}: {problem.msg}") from None
    found = root.xpath(
        "cpu|domain/cpu|capabilities/host/cpu|domainCapabilities/cpu/mode[@name='host-model' and @supported='yes']"
    )
    if not isinstance(found, list) or not found:
        raise CommandError(
            f"File '{path}' does not contain any <cpu> element or valid domain XML, host capabilities XML, or "
            "domain capabilities XML"
        )
    documents = []
    for cpu in found:
        assert isinstance(cpu, etree._Element)
        if cpu.tag == "mode":
            cpu.tag = "cpu"
            cpu.attrib.clear()
        documents.append(etree.tostring(cpu, encoding="unicode", with_tail=False))
    return documents


def _tell(shell: Shell, result: CPUCompareResult, messages: Sequence[str]) -> bool:
    """Print how a comparison went: incompatible, identical, superset."""
    shell.out(messages[int(result)] + "\n")
    return int(result) > 0


@command(
    "cpu-models",
    group="host",
    help="CPU models",
    description="Print the processor models of an architecture.",
    options=[data("arch", "architecture")],
)
def cpu_models(shell: Shell, args: Arguments) -> bool:
    with shell.failing("failed to get CPU model names"):
        names = shell.connection.cpu_model_names(args.require("arch"))
    if not names:
        shell.extra("all CPU models are accepted\n")
    shell.out("".join(f"{name}\n" for name in names))
    return True


@command(
    "cpu-compare",
    group="host",
    help="compare host CPU with a CPU described by an XML file",
    description="Say whether the host's processor can do what another one can.",
    options=[data("file", "file containing an XML CPU description"), _ERROR, _VALIDATE],
)
def cpu_compare(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import ConnectCompareCPUFlags

    path = args.require("file")
    cpu = _cpus(path)[0]
    with shell.failing(f"Failed to compare host CPU with {path}"):
        result = shell.connection.compare_cpu(cpu, args.flags(ConnectCompareCPUFlags, _COMPARE))
    return _tell(
        shell,
        result,
        (
            f"CPU described in {path} is incompatible with host CPU",
            f"CPU described in {path} is identical to host CPU",
            f"Host CPU is a superset of CPU described in {path}",
        ),
    )


@command(
    "hypervisor-cpu-compare",
    group="host",
    help="compare a CPU with the CPU created by a hypervisor on the host",
    description="Say whether a hypervisor can give its guests what a processor can.",
    options=[data("file", "file containing an XML CPU description"), *_HYPERVISOR, _ERROR, _VALIDATE],
)
def hypervisor_cpu_compare(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import ConnectCompareCPUFlags

    path = args.require("file")
    cpu = _cpus(path)[0]
    flags = args.flags(ConnectCompareCPUFlags, _COMPARE)
    with shell.failing(f"Failed to compare hypervisor CPU with {path}"):
        result = shell.connection.compare_hypervisor_cpu(*_hypervisor(args), cpu, flags)
    provided = "the CPU provided by hypervisor on the host"
    return _tell(
        shell,
        result,
        (
            f"CPU described in {path} is incompatible with {provided}",
            f"CPU described in {path} is identical to {provided}",
            f"The CPU provided by hypervisor on the host is a superset of CPU described in {path}",
        ),
    )


@command(
    "cpu-baseline",
    group="host",
    help="compute baseline CPU",
    description="Print the processor that all of some hosts can give their guests.",
    options=[data("file", "file containing XML CPU descriptions"), _FEATURES, _MIGRATABLE],
)
def cpu_baseline(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import ConnectBaselineCPUFlags

    cpus = _cpus(args.require("file"))
    shell.out(shell.connection.baseline_cpu(cpus, args.flags(ConnectBaselineCPUFlags, _BASELINE)))
    return True


@command(
    "hypervisor-cpu-baseline",
    group="host",
    help="compute baseline CPU usable by a specific hypervisor",
    description="Print the processor that a hypervisor can give its guests on all of some hosts.",
    options=[
        string("file", "file containing XML CPU descriptions", unwanted_positional=True),
        *_HYPERVISOR,
        _FEATURES,
        _MIGRATABLE,
        string(
            "model",
            "Shortcut for calling the command with a single CPU model and no additional features",
            unwanted_positional=True,
        ),
    ],
)
def hypervisor_cpu_baseline(shell: Shell, args: Arguments) -> bool:
    from virt_shell.text import escape_xml
    from virtcore.enums import ConnectBaselineCPUFlags

    args.exclusive("file", "model")
    path, model = args.get("file"), args.get("model")
    if path is not None:
        cpus = _cpus(path)
    elif model is not None:
        cpus = [f"<cpu><model>{escape_xml(model)}</model></cpu>"]
    else:
        raise CommandError("Either --file or --model must be provided")
    flags = args.flags(ConnectBaselineCPUFlags, _BASELINE)
    shell.out(shell.connection.baseline_hypervisor_cpu(*_hypervisor(args), cpus, flags))
    return True


@command(
    "hypervisor-cpu-models",
    group="host",
    help="Hypervisor reported CPU models",
    description="Print the processor models that a hypervisor knows for its guests.",
    options=[
        *(string(*words) for words in (_VIRTTYPE, _EMULATOR, _ARCH, _MACHINE)),
        flag("all", "include all CPU models known to the hypervisor for the architecture"),
    ],
)
def hypervisor_cpu_models(shell: Shell, args: Arguments) -> bool:
    from lxml import etree

    with shell.failing("failed to get hypervisor CPU model names"):
        xml = shell.connection.domain_capabilities(*_hypervisor(args), 0)
    models = etree.fromstring(xml.encode()).xpath("cpu/mode[@name='custom'][1]/model")
    assert isinstance(models, list)
    for model in models:
        assert isinstance(model, etree._Element)
        if "all" in args or model.get("usable") == "yes":
            shell.out(f"{model.text}\n")
    return True


@command(
    "nodesevinfo",
    group="host",
    help="node SEV information",
    description="Print what the host's AMD SEV is and needs.",
)
def nodesevinfo(shell: Shell, args: Arguments) -> bool:
    with shell.failing("Unable to get host SEV information"):
        params = shell.connection.node_sev_info()
    shell.out("".join(f"{name:<18}: {typed_value(kind, value)}\n" for name, kind, value in params.rows()))
    return True
