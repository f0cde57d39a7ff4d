"""Why a host could not be reached, as an error that says what to do. Pure: no I/O."""

import socket

import asyncssh

from fleet import errors, model
from fleet.transports import identity, knownhosts, openssh


def translate(
    host: model.Host,
    error: Exception,
    presented: asyncssh.SSHKey | None,
    known: knownhosts.Known,
    credentials: identity.Credentials,
) -> errors.FleetError:
    """The FleetError for what asyncssh or the operating system raised while `host` was dialled."""
    match error:
        case errors.FleetError():
            return error
        case asyncssh.HostKeyNotVerifiable():
            return _bad_host_key(host, error, presented, known)
        case asyncssh.KeyExchangeFailed() if known.keys or known.authorities:
            return _other_kind_of_key(host, error, known)
        case asyncssh.PermissionDenied():
            return _denied(host, credentials)
        case asyncssh.DisconnectError() if "authentication failures" in str(error):
            return _denied(host, credentials)
        case asyncssh.ConfigParseError():
            return errors.ConfigError(f"{host.ssh_config}: {error}", remedy=f"correct {host.ssh_config}")
        case asyncssh.ChannelOpenError() if host.jump is not None:
            return _jump_refused(host, host.jump, error)
        case _:
            return _unreachable(host, error)


def _bad_host_key(
    host: model.Host, error: Exception, presented: asyncssh.SSHKey | None, known: knownhosts.Known
) -> errors.HostKeyError:
    where = openssh.where(host)
    trust = f"`{knownhosts.trust_command(host)}`"
    if presented is None:
        return errors.HostKeyError(host.name, f"{where}: {error}", remedy=f"ask the owner of the host, then {trust}")
    shown = knownhosts.describe(presented)
    if not known.keys and not known.authorities:
        return errors.HostKeyError(
            host.name,
            f"host key of {where} is unknown: it presents {shown}",
            remedy=f"compare the fingerprint with one from the host's owner, then {trust}",
        )
    expected = ", ".join(known.fingerprints) or "a certificate of a known authority"
    return errors.HostKeyError(
        host.name,
        f"host key of {where} has changed: known is {expected}, it presents {shown}",
        remedy=f"if the host was reinstalled: {_replace_command(host)}; if not, somebody may sit in between",
    )


def _replace_command(host: model.Host) -> str:
    return f"`{knownhosts.trust_command(host)} --replace`"


def _other_kind_of_key(host: model.Host, error: Exception, known: knownhosts.Known) -> errors.HostKeyError:
    expected = ", ".join(known.fingerprints) or "a certificate of a known authority"
    return errors.HostKeyError(
        host.name,
        f"{openssh.where(host)} offers no host key of a kind we know it by ({expected}): {error}",
        remedy=f"if the host was reinstalled: {_replace_command(host)}; if not, somebody may sit in between",
    )


def _denied(host: model.Host, credentials: identity.Credentials) -> errors.HostAuthError:
    copy = ["ssh-copy-id", *(["-i", host.identity] if host.identity else []), "-p", str(host.port)]
    return errors.HostAuthError(
        host.name,
        f"{openssh.where(host)} refused {credentials.said}",
        remedy=f"`{' '.join([*copy, openssh.destination(host)])}`, or correct `user` and `identity` in hosts.toml",
    )


def _jump_refused(host: model.Host, jump: model.Host, error: asyncssh.ChannelOpenError) -> errors.HostUnreachable:
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        remedy = f"allow TCP forwarding to {host.address}:{host.port} on {jump.name} (AllowTcpForwarding, PermitOpen)"
    else:
        remedy = f"check from {jump.name} that {host.address}:{host.port} is up"
    return errors.HostUnreachable(
        host.name, f"{jump.name} cannot connect to {host.address}:{host.port}: {error.reason}", remedy=remedy
    )


def _unreachable(host: model.Host, error: Exception) -> errors.HostUnreachable:
    address, port = host.address, host.port
    what, remedy = f"connection failed: {error}", f"try it by hand: `ssh -p {port} {openssh.destination(host)}`"
    match error:
        case TimeoutError():
            what = f"no answer within {host.connect_timeout_s:g} s"
            remedy = "check that the host is on, and that no firewall drops the port; `connect_timeout` sets the limit"
        case ConnectionRefusedError():
            what, remedy = "connection refused", f"check that sshd runs there and listens on port {port}"
        case socket.gaierror():
            what, remedy = f"the name does not resolve: {error.strerror}", f"correct `address`, or try `host {address}`"
        case asyncssh.ConnectionLost():
            what = f"the server hung up during the handshake: {error}"
            remedy = "too many connections at once (MaxStartups), or a ban (PerSourcePenalties, fail2ban): see its log"
        case OSError():
            what = error.strerror or str(error)
        case _:
            pass
    return errors.HostUnreachable(host.name, f"{openssh.where(host)}: {what}", remedy=remedy)
