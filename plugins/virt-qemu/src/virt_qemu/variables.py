"""The variables of a guest's firmware: made from their template when it first starts."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from virtcore.errors import OperationFailed, SystemError
from virtcore.model.domain.os import LoaderType
from virtcore.model.storage.source import FileSource

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["prepare_variables", "variables_path"]


def variables_path(domain: Domain) -> str | None:
    """Where on the host a guest's firmware keeps its variables; None where it keeps none, or keeps them elsewhere."""
    os_ = domain.os
    if os_ is None or os_.loader is None or os_.loader.type is not LoaderType.PFLASH or os_.nvram is None:
        return None
    nvram = os_.nvram
    return nvram.source.file if isinstance(nvram.source, FileSource) else nvram.path


def prepare_variables(domain: Domain, *, reset: bool = False) -> None:
    """Make the file of variables, if the firmware keeps any and there is none yet.

    :param reset: make it afresh though there is one.
    :raises OperationFailed: there is nothing to make it from.
    :raises SystemError: it cannot be written.
    """
    path = variables_path(domain)
    if path is None or (os.path.exists(path) and not reset):
        return
    assert domain.os is not None
    assert domain.os.loader is not None
    assert domain.os.nvram is not None
    nvram = domain.os.nvram
    if nvram.template is None:
        raise OperationFailed(f"unable to find any master var store for loader: {domain.os.loader.path}")
    if nvram.template_format != nvram.format:
        raise OperationFailed("conversion of the nvram template to another target format is not supported")
    temporary = f"{path}.new"
    try:
        os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
        with open(nvram.template, "rb") as template:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                shutil.copyfileobj(template, file)
        os.rename(temporary, path)
    except OSError as error:
        raise SystemError(f"Failed to create file '{path}': {error.strerror}") from None
