# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as a tree of exceptions (DESIGN.md section 4).

Every message is for an operator: what failed, on which object, what to do.
No error carries a secret or a whole configuration dump.  Cinder never sees
these classes: :mod:`cinder_nec.translate` turns them into its own.
"""

from __future__ import annotations

from collections.abc import Sequence


class NecError(Exception):
    """Base of all errors of this package.

    :param message: what failed, and on which object
    :param hint: what the operator can do about it, one sentence

    ``logged`` tells that it is in the log as an error already.
    """

    logged = False

    def __init__(self, message: str, hint: str = '') -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if self.hint:
            return f'{self.message} {self.hint}'
        return self.message


class ConfigError(NecError):
    """An option of ``cinder.conf`` is missing or wrong.

    ``option`` is the name of the option; ``missing`` tells that it is not
    set at all.
    """

    def __init__(self, option: str, message: str, hint: str = '', *,
                 missing: bool = False) -> None:
        super().__init__(message, hint)
        self.option = option
        self.missing = missing


class InvalidInput(NecError):
    """A value that came from a caller cannot be used; nothing was sent."""


class InvalidConnector(InvalidInput):
    """A connector lacks ``key`` or its value is not a valid identifier."""

    def __init__(self, key: str, message: str, hint: str = '') -> None:
        super().__init__(message, hint)
        self.key = key


# -- the way to the array ---------------------------------------------------

class TransportError(NecError):
    """The array could not be talked to."""


class ConnectFailed(TransportError):
    """No session could be had; the command was not sent.

    ``permanent`` tells that a retry cannot help: the key file is
    unreadable, the password is wrong, the host key is not the known one.
    """

    def __init__(self, message: str, hint: str = '', *,
                 permanent: bool = False) -> None:
        super().__init__(message, hint)
        self.permanent = permanent


class OutcomeUnknown(TransportError):
    """The command was sent and no complete answer came.

    A READ may be repeated.  After a CHANGE the array has to be read again
    to learn whether it was carried out.
    """


class AnswerTooLong(OutcomeUnknown):
    """The answer went on beyond all measure and was not read to its end.

    To ask again would bring the same.
    """


# -- what the array answers -------------------------------------------------

class CommandFailed(NecError):
    """The array refused a command (exit status other than 0).

    :param command: the command line, which never contains a secret
    :param status: its exit status
    :param message_id: the ``iSMnnnnn`` id of the answer, or ''
    :param stdout: the beginning of its standard output
    :param stderr: the beginning of its standard error output

    The text is that of the manual's appendix D.1.
    """

    def __init__(self, command: str, status: int, message_id: str = '',
                 stdout: str = '', stderr: str = '') -> None:
        super().__init__(f"'{command}' failed. status={status},"
                         f'out="{stdout}", err="{stderr}".')
        self.command = command
        self.status = status
        self.message_id = message_id
        self.stdout = stdout
        self.stderr = stderr


class ArrayBusy(CommandFailed):
    """Another configuration change is running; nothing was done."""


class LdnInUse(CommandFailed):
    """ldbind: the LD number is taken (iSM31077)."""


class AlreadyMapped(CommandFailed):
    """addldsetld: the LD is in that LD Set already (iSM31091)."""


class NotMapped(CommandFailed):
    """delldsetld: the LD is not in that LD Set (iSM31065)."""


class ParseError(NecError):
    """An answer of the array does not have the known form.

    :param what: what was looked for
    :param where: which answer, and where in it (never the answer itself)
    """

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f'{what} ({where}).',
                         'The answer of the array was not understood; '
                         'nothing was changed because of it.')
        self.what = what
        self.where = where


# -- the state of things ----------------------------------------------------

class StateError(NecError):
    """The array is not in the state that the operation needs."""


class NotFound(StateError):
    """An LD, pool, LD Set or port that was asked for does not exist."""


class InUse(StateError):
    """An object is in use and the operation must not touch it."""


class PairLimit(StateError):
    """The volume has the greatest number of pairs or generations."""


class WrongPool(StateError):
    """An LD is in a pool that is not one of the back end's."""


class NoCapacity(StateError):
    """No pool, LD number or LUN is free for the request."""


class UnexpectedState(StateError):
    """An object is in a state that the operation cannot go on from.

    States the driver does not know end here: they never count as success.
    """

    def __init__(self, message: str, *, wanted: str, actual: str,
                 hint: str = '') -> None:
        super().__init__(f'{message} Wanted: {wanted}; actual: {actual}.',
                         hint)
        self.wanted = wanted
        self.actual = actual


class DeadlineExceeded(NecError):
    """Something did not finish within the time it was given."""


class RollbackFailed(NecError):
    """An operation failed, and undoing its first half failed as well.

    :param cause: why the operation failed
    :param leftovers: what is left on the array, with the command that
        removes each
    """

    def __init__(self, cause: BaseException,
                 leftovers: Sequence[str]) -> None:
        super().__init__(
            f'{cause} Undoing it failed too. Left on the array: '
            f'{"; ".join(leftovers)}.',
            'Remove them by hand with the commands given.')
        self.cause = cause
        self.leftovers = tuple(leftovers)
