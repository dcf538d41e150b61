"""The paths that lead to no actor, as the OpenAPI document tells of them."""

from typing import NamedTuple

from gateway.accounts import mfa_routes, oidc_routes, routes
from schemas.shape import Shape

API = "/api/v1"


class Plain(NamedTuple):
    """One path: what it takes, what it answers, and who may ask. `role` is None when no token is needed; `once` says
    that it heeds an `Idempotency-Key`."""

    method: str
    path: str
    summary: str
    body: type[Shape] | None = None
    status: int = 200
    role: str | None = None
    once: bool = False


ROWS: tuple[Plain, ...] = (
    Plain(
        "POST",
        f"{API}/auth/register",
        "Make an account; also /auth/... and /api/auth/...",
        routes.Registration,
        201,
        once=True,
    ),
    Plain("POST", f"{API}/auth/login", "Log in with a username or an e-mail address.", routes.Login),
    Plain("POST", f"{API}/auth/guest", "Play at once; a device comes back to its player.", routes.Guest),
    Plain("POST", f"{API}/auth/refresh", "Exchange a refresh token, which is used up.", routes.Refresh),
    Plain("POST", f"{API}/auth/upgrade", "Turn a guest into an account.", routes.Credentials, role="player", once=True),
    Plain(
        "POST",
        f"{API}/auth/password",
        "Change it; other sessions end.",
        routes.PasswordChange,
        role="player",
        once=True,
    ),
    Plain("POST", f"{API}/auth/logout", "End this session.", role="player"),
    Plain("POST", f"{API}/auth/logout-all", "End all sessions of the user.", role="player"),
    Plain("GET", f"{API}/auth/sessions", "Where the user is logged in.", role="player"),
    Plain("GET", f"{API}/auth/mfa", "Which second factors the account has.", role="player"),
    Plain("POST", f"{API}/auth/mfa/verify", "Complete a login with a code.", mfa_routes.Verify),
    Plain("POST", f"{API}/auth/mfa/totp/enrol", "Begin with an app.", mfa_routes.EnrolTotp, role="player"),
    Plain("POST", f"{API}/auth/mfa/totp/confirm", "Turn it on by its code.", mfa_routes.Confirm, role="player"),
    Plain("POST", f"{API}/auth/mfa/email/enrol", "Begin with mail.", mfa_routes.EnrolEmail, role="player"),
    Plain("POST", f"{API}/auth/mfa/email/confirm", "Turn it on by its code.", mfa_routes.Confirm, role="player"),
    Plain("POST", f"{API}/auth/mfa/email/send", "Mail a code, for a login or a change.", mfa_routes.SendCode),
    Plain("POST", f"{API}/auth/mfa/recovery-codes", "Ten new ones.", mfa_routes.Confirm, role="player"),
    Plain("POST", f"{API}/auth/mfa/disable", "Turn it off by a code.", mfa_routes.Disable, role="player"),
    Plain(
        "POST",
        f"{API}/admin/users/{{id}}/mfa/reset",
        "Turn it off for them.",
        mfa_routes.ResetMfa,
        role="admin",
        once=True,
    ),
    Plain("GET", f"{API}/auth/oidc", "The issuers at which one can log in."),
    Plain("GET", f"{API}/auth/oidc/{{provider}}/start", "Send the browser there.", status=302),
    Plain("GET", f"{API}/auth/oidc/{{provider}}/callback", "Where the issuer sends it back to."),
    Plain("POST", f"{API}/auth/oidc/exchange", "Log in with the code it brought back.", oidc_routes.Exchange),
    Plain("GET", f"{API}/auth/identities", "By which identities the account is entered.", role="player"),
    Plain("POST", f"{API}/auth/identities", "Link one more.", oidc_routes.Link, role="player"),
    Plain("DELETE", f"{API}/auth/identities/{{id}}", "Take one away.", role="player"),
    Plain(
        "POST", f"{API}/players/provision", "Make players by external id.", routes.Provision, role="server", once=True
    ),
    Plain("POST", f"{API}/moderation/users/{{id}}/ban", "Ban an account.", routes.Ban, role="moderator", once=True),
    Plain(
        "POST",
        f"{API}/moderation/users/{{id}}/suspend",
        "Suspend an account.",
        routes.Suspend,
        role="moderator",
        once=True,
    ),
    Plain(
        "POST", f"{API}/moderation/users/{{id}}/reinstate", "Lift it.", routes.Reinstate, role="moderator", once=True
    ),
    Plain(
        "POST",
        f"{API}/admin/users/{{id}}/roles",
        "Grant or take back a role.",
        routes.RoleChange,
        role="admin",
        once=True,
    ),
    Plain("GET", "/.well-known/jwks.json", "The keys that verify access tokens."),
    Plain("GET", "/health", "Whether everything answers; 503 when something does not."),
    Plain("GET", "/health/ready", "Whether commands are carried out, for load balancers."),
    Plain("GET", "/health/live", "Whether the process answers."),
    Plain("GET", "/metrics", "Metrics for Prometheus."),
)
