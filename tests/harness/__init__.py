"""What tests of the runtime share: servers, a whole Greenroom in one process, tiny kinds, a proxy that cuts."""

from tests.harness.greenroom import Greenroom
from tests.harness.kinds import counter
from tests.harness.proxy import Proxy
from tests.harness.servers import Servers
from tests.harness.waiting import eventually

__all__ = ["Greenroom", "Proxy", "Servers", "counter", "eventually"]
