"""What ended a command, as an exit code and a sentence: users never see a traceback that they did not ask for."""

from __future__ import annotations

from uvlm_core.errors import Cancelled, UVLMError

VERIFICATION, WRONG_INPUT, UNEXPECTED, CANCELLED = 1, 2, 70, 130  # 70: internal error in BSD's sysexits.h
UNREAD = 141  # whoever read the output has gone; what a shell says of SIGPIPE


def failure(error: BaseException) -> tuple[int, str]:
    """(exit code, text) of an exception.

    2: the input, an option or the machine does not fit, and the text says how to go on. 130: cancelled.
    70: a mistake of UVLM itself; the text says how to report it.
    """
    if isinstance(error, (Cancelled, KeyboardInterrupt)) or type(error).__name__ == "Abort":  # typer's Ctrl-C
        return CANCELLED, str(error) or "Cancelled."
    if isinstance(error, UVLMError):
        return WRONG_INPUT, f"Error: {error}"
    if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help
        return WRONG_INPUT, error.format_message()
    if hasattr(error, "format_message"):  # typer: a wrong option or argument
        return WRONG_INPUT, f"Error: {error.format_message()}\nSee: uvlm --help"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the second is torch's
        return WRONG_INPUT, ("Error: there is not enough memory for this. Close other programs, choose --device cpu if "
                             "a graphics card was used, or use a scan with fewer or thicker slices.")
    if isinstance(error, OSError) and error.filename is not None:
        return WRONG_INPUT, (f"Error: {error.filename}: {error.strerror or error}. "
                             "Check that it exists, may be used, and that the disk has space.")
    if isinstance(error, OSError):  # of a file that was open already
        return WRONG_INPUT, (f"Error: a file cannot be read or written: {error.strerror or error}. "
                             "Check that the folders may be used and that the disk has space.")
    return UNEXPECTED, (f"Error: something unexpected happened ({type(error).__name__}: {error}). Run the same command "
                        "with --debug and send what it prints, without the scan, to the developers.")
