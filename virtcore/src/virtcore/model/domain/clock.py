"""``<clock>`` and its timers."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.xml import LONG, ULONG, YES_NO, Codec, Mode, attribute, child, children, element

__all__ = [
    "Catchup",
    "Clock",
    "ClockBasis",
    "ClockOffset",
    "TickPolicy",
    "Timer",
    "TimerMode",
    "TimerName",
    "TimerTrack",
]


class ClockOffset(StrEnum):
    """What the guest's clock follows."""

    UTC = "utc"
    LOCALTIME = "localtime"
    VARIABLE = "variable"
    TIMEZONE = "timezone"
    ABSOLUTE = "absolute"


class ClockBasis(StrEnum):
    """What a variable offset is relative to."""

    UTC = "utc"
    LOCALTIME = "localtime"


class TimerName(StrEnum):
    """A time source."""

    PLATFORM = "platform"
    PIT = "pit"
    RTC = "rtc"
    HPET = "hpet"
    TSC = "tsc"
    KVMCLOCK = "kvmclock"
    HYPERVCLOCK = "hypervclock"
    ARMVTIMER = "armvtimer"


class TickPolicy(StrEnum):
    """What happens to ticks the guest missed."""

    DELAY = "delay"
    CATCHUP = "catchup"
    MERGE = "merge"
    DISCARD = "discard"


class TimerTrack(StrEnum):
    """What a timer follows."""

    BOOT = "boot"
    GUEST = "guest"
    WALL = "wall"
    REALTIME = "realtime"


class TimerMode(StrEnum):
    """How the time stamp counter is provided."""

    AUTO = "auto"
    NATIVE = "native"
    EMULATE = "emulate"
    PARAVIRT = "paravirt"
    SMPSAFE = "smpsafe"


def _read_adjustment(text: str) -> int | str:
    """A number where it is one; what else may stand there depends on the offset."""
    try:
        return LONG.read(text)
    except ValueError:
        return text


_ADJUSTMENT: Codec[int | str] = Codec(
    _read_adjustment, str, datatype='<choice><value>reset</value><data type="integer"/></choice>'
)


@element("catchup", doc="How fast missed ticks are made up.")
class Catchup:
    threshold: int | None = attribute(codec=ULONG, omit=0, doc="Ticks that must be missed first.")
    slew: int | None = attribute(codec=ULONG, omit=0)
    limit: int | None = attribute(codec=ULONG, omit=0)


@element("timer", doc="A time source of the guest.")
class Timer:
    name: TimerName = attribute(required=True)
    present: bool | None = attribute(codec=YES_NO, doc="Whether the guest has it.")
    tickpolicy: TickPolicy | None = attribute(doc="What happens to missed ticks.")
    track: TimerTrack | None = attribute(doc="What it follows.")
    frequency: int | None = attribute(codec=ULONG, omit=0, doc="In Hz (tsc).")
    mode: TimerMode | None = attribute(doc="How it is provided (tsc).")
    catchup: Catchup | None = child("catchup")


@element("clock", doc="What the guest's clock follows.")
class Clock:
    offset: ClockOffset | None = attribute(
        demanded=True, blank=False, invalid="unknown clock offset '{value}'", code=ErrorCode.CONFIG_UNSUPPORTED
    )
    adjustment: int | str | None = attribute(
        codec=_ADJUSTMENT,
        blank=False,
        only={"offset": (ClockOffset.UTC, ClockOffset.LOCALTIME, ClockOffset.VARIABLE, None)},
        doc="``reset`` (utc, localtime), or seconds off the basis (variable).",
    )
    basis: ClockBasis | None = attribute(
        blank=False,
        only={"offset": (ClockOffset.VARIABLE,)},
        invalid="unknown clock basis '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="What the adjustment is relative to.",
        since="0.9.11",
    )
    adjustment0: int | None = attribute(
        codec=LONG,
        omit=0,
        when=Mode.CLOCK_ADJUST,
        only={"offset": (ClockOffset.VARIABLE,)},
        doc="The adjustment the guest was started with.",
    )
    timezone: str | None = attribute(
        blank=False,
        only={"offset": (ClockOffset.TIMEZONE,)},
        required=True,
        missing="missing 'timezone' attribute for clock with offset='timezone'",
        code=ErrorCode.INTERNAL_ERROR,
        since="0.7.2",
    )
    start: int | None = attribute(
        codec=ULONG,
        only={"offset": (ClockOffset.ABSOLUTE,)},
        required=True,
        missing="missing 'start' attribute for clock with offset='absolute'",
        invalid="missing 'start' attribute for clock with offset='absolute'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="Seconds since the epoch.",
        since="8.4.0",
    )
    timers: list[Timer] = children("timer")
