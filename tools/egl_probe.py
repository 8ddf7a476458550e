"""Exits 0 if an EGL device can be initialised, which is how MuJoCo draws without a screen. Standard library only."""

import ctypes
import sys

EGL_PLATFORM_DEVICE_EXT = 0x313F


def initialises() -> bool:
    """Whether any EGL device of this machine starts."""
    egl = ctypes.CDLL("libEGL.so.1")
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]

    def function(name: str, result: type, *arguments: object):
        address = egl.eglGetProcAddress(name.encode())
        if not address:
            raise OSError(f"{name}: expected an EGL with this extension, got none")
        return ctypes.CFUNCTYPE(result, *arguments)(address)

    pointer, integer = ctypes.c_void_p, ctypes.c_int
    query = function("eglQueryDevicesEXT", ctypes.c_uint, integer, pointer, ctypes.POINTER(integer))
    display_of = function("eglGetPlatformDisplayEXT", pointer, ctypes.c_uint, pointer, pointer)
    initialize = function("eglInitialize", ctypes.c_uint, pointer, pointer, pointer)

    devices, count = (pointer * 16)(), integer(0)
    if not query(len(devices), devices, ctypes.byref(count)):
        return False
    displays = (display_of(EGL_PLATFORM_DEVICE_EXT, device, None) for device in devices[: count.value])
    return any(display and initialize(display, None, None) for display in displays)


if __name__ == "__main__":
    try:
        sys.exit(not initialises())
    except OSError as error:
        sys.exit(f"egl_probe: {error}")
