"""Everything that a process shares, in a form that compares: what no call of a library may leave changed."""

import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile


def shared_state() -> dict[str, Any]:
    """The state of now, by name."""
    return {**_torch(), **_python(), **_arrays()}


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What differs, by name."""
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


def _torch() -> dict[str, Any]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    begun = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpus = torch.cuda.get_rng_state_all() if begun else []
    return {
        "torch generator": torch.get_rng_state().tolist(),
        "GPU generators": [state.tolist() for state in gpus],
        "threads": torch.get_num_threads(),
        "cuDNN": (cudnn.enabled, cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32),
        "matmul": (matmul.allow_tf32, torch.get_float32_matmul_precision()),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "default dtype": torch.get_default_dtype(),
        "default device": str(torch.get_default_device()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "anomalies": torch.is_anomaly_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "sharing": torch.multiprocessing.get_sharing_strategy(),  # type: ignore[no-untyped-call]
        "start of processes": torch.multiprocessing.get_start_method(allow_none=True),
        "safe globals": sorted(map(repr, torch.serialization.get_safe_globals())),
    }


def _python() -> dict[str, Any]:
    known = [logging.getLogger(), *_loggers()]
    handled = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
    main = threading.current_thread() is threading.main_thread()
    return {
        "random": random.getstate(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "warning filters": [repr(entry) for entry in warnings.filters],
        "warnings are shown by": warnings.showwarning,
        "loggers": {
            logger.name: (logger.level, logger.propagate, logger.disabled, list(logger.handlers))
            for logger in known
        },
        "logging is off up to": logging.root.manager.disable,
        "signals": {number: signal.getsignal(number) for number in handled} if main else {},
        "hooks": (sys.excepthook, sys.displayhook, threading.excepthook),
        "streams": (sys.stdout, sys.stderr),
        "recursion": sys.getrecursionlimit(),
        "locale": locale.setlocale(locale.LC_ALL),
    }


def _loggers() -> list[logging.Logger]:
    """Those that were there when this was first asked: libraries that are imported bring their own."""
    if not _KNOWN:
        _KNOWN.extend(name for name in logging.root.manager.loggerDict)
    return [logging.getLogger(name) for name in _KNOWN]


_KNOWN: list[str] = []


def _arrays() -> dict[str, Any]:
    numbers = np.random.get_state()
    assert isinstance(numbers, tuple)
    return {
        "numpy generator": [numbers[0], numbers[1].tolist(), *numbers[2:]],
        "numpy errors": np.geterr(),
        "numpy printing": str(np.get_printoptions()),
        "Pillow": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
    }
