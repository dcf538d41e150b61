"""The typed Python client of Greenroom: REST and WebSocket, for games, tools and tests."""

from greenroom_client.backoff import Backoff
from greenroom_client.client import Client, MfaRequired
from greenroom_client.connection import Connection
from greenroom_client.errors import (
    ConnectionLost,
    DeadlinePassed,
    Forbidden,
    GreenroomError,
    Invalid,
    NotFound,
    RateLimited,
    Refused,
    ServerBug,
    Unauthenticated,
    Unavailable,
)
from greenroom_client.frames import Form
from greenroom_client.game.chat import direct_channel, guild_channel
from greenroom_client.game.presence import Present, Status, present
from greenroom_client.game.trades import Goods
from greenroom_client.ids import new_op
from greenroom_client.models import (
    Action,
    Award,
    AwardOrder,
    Change,
    Provisioned,
    Push,
    Reply,
    Score,
    Standing,
    Tokens,
)
from greenroom_client.subscription import Subscription

__all__ = [
    "Action",
    "Award",
    "AwardOrder",
    "Backoff",
    "Change",
    "Client",
    "Connection",
    "ConnectionLost",
    "DeadlinePassed",
    "Forbidden",
    "Form",
    "Goods",
    "GreenroomError",
    "Invalid",
    "MfaRequired",
    "NotFound",
    "Present",
    "Provisioned",
    "Push",
    "RateLimited",
    "Refused",
    "Reply",
    "Score",
    "ServerBug",
    "Standing",
    "Status",
    "Subscription",
    "Tokens",
    "Unauthenticated",
    "Unavailable",
    "direct_channel",
    "guild_channel",
    "new_op",
    "present",
]
