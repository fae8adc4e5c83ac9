"""Limits that the kernel holds a reading process to, whatever is in the file."""

import resource

_OVERHEAD_MB = 2048
"""Address space beside the database's memory: the interpreter, libraries, thread stacks, the allocator's reserves."""


def apply(*, memory_limit_mb: int, cpu_seconds: int, largest_file_bytes: int, open_files: int = 256) -> None:
    """Limit this process, for good, in address space, CPU time, file size and open files.

    Past the address space an allocation fails; past the CPU time the process is killed; past the file size a write fails.
    """
    _lower(resource.RLIMIT_AS, (memory_limit_mb + _OVERHEAD_MB) << 20)
    _lower(resource.RLIMIT_CPU, cpu_seconds)
    _lower(resource.RLIMIT_FSIZE, largest_file_bytes)
    _lower(resource.RLIMIT_NOFILE, open_files)
    _lower(resource.RLIMIT_CORE, 0)  # a core dump would hold the user's data


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (bounded, bounded))
