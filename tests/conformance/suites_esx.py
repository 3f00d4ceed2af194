"""Adapters of suites ``vmx2xml`` and ``xml2vmx``: VMware's configuration files and domain XML."""

from __future__ import annotations

from typing import Any

from virt_esx.namespace import register
from virt_esx.rules import VMwareRules
from virt_esx.vmx import DatastoreFiles, VMXContext, read_vmx, write_vmx
from virtcore.model.domain.controller import SCSIControllerModel
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.xml import Mode

register()


def _exists(datastore: str, path: str) -> bool:
    return not datastore.startswith("missing") and not path.startswith("missing")


def vmx2xml(case: Any) -> str:
    files = DatastoreFiles(case.params["datastore"], case.params["directory"], exists=_exists)
    context = VMXContext(files=files, datacenter_path=case.params["datacenter_path"])
    return format_domain(read_vmx(case.data("vmx"), context), Mode.SECURE)


def xml2vmx(case: Any) -> str:
    model = SCSIControllerModel(case.params["autodetected_scsi_model"])
    context = VMXContext(files=DatastoreFiles("datastore", "directory"), scsi_model=lambda disk: model)
    return write_vmx(load_domain(case.text("xml"), VMwareRules()), context, case.params["virtual_hw_version"])
