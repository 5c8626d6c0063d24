"""The stack's Secrets in the cluster, from the secrets of its configuration."""

import pulumi
from pulumi_kubernetes.core.v1 import Secret

from hms.inventory import API_KEY
from infra.names import APP, APP_CREDENTIALS, POSTGRES, POSTGRES_CREDENTIALS, POSTGRES_TLS, REDIS, REDIS_CREDENTIALS
from infra.site import Site, digest

_POSTGRES = {
    "superuser-password": "postgresSuperuserPassword",
    "replication-password": "postgresReplicationPassword",
    "rewind-password": "postgresRewindPassword",
    "rest-password": "postgresRestPassword",
    "app-password": "postgresAppPassword",
}
_TLS = {"ca.crt": "postgresTlsAuthority", "tls.crt": "postgresTlsCertificate", "tls.key": "postgresTlsKey"}
_REDIS = {
    "app-password": "redisAppPassword",
    "replication-password": "redisReplicationPassword",
    "sentinel-password": "redisSentinelPassword",
}
_APP = {"admin-key": "appAdminKey", API_KEY: "appInternalKey"}


class Credentials(pulumi.ComponentResource):
    """Four Secrets: Postgres' passwords, its certificate, Redis' passwords, and the app's keys.

    `digests` has a short digest of each Secret's values, by its name, for the pods that read it. The values of one
    Secret are digested together and are random, so a digest tells nothing of them. A drill's password exists only
    where drills are allowed.
    """

    def __init__(
        self, name: str, site: Site, *, config: pulumi.Config, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hms:credentials:Credentials", name, None, opts)
        self._site = site
        self._config = config
        drills = site.spec.drills == "allowed"
        postgres = {**_POSTGRES, **({"drill-password": "postgresDrillPassword"} if drills else {})}
        redis = {**_REDIS, **({"drill-password": "redisDrillPassword"} if drills else {})}
        self.keys = {
            POSTGRES_CREDENTIALS: tuple(postgres),
            POSTGRES_TLS: tuple(_TLS),
            REDIS_CREDENTIALS: tuple(redis),
            APP_CREDENTIALS: tuple(_APP),
        }
        self.digests = {
            POSTGRES_CREDENTIALS: self._secret(POSTGRES_CREDENTIALS, POSTGRES, "Opaque", postgres),
            POSTGRES_TLS: self._secret(POSTGRES_TLS, POSTGRES, "kubernetes.io/tls", _TLS),
            REDIS_CREDENTIALS: self._secret(REDIS_CREDENTIALS, REDIS, "Opaque", redis),
            APP_CREDENTIALS: self._secret(APP_CREDENTIALS, APP, "Opaque", _APP),
        }
        self.register_outputs({})

    def _secret(self, name: str, workload: str, kind: str, settings: dict[str, str]) -> pulumi.Output[str]:
        values = {key: self._config.require_secret(setting) for key, setting in settings.items()}
        Secret(
            name,
            metadata=self._site.meta(name, workload),
            type=kind,
            string_data=values,
            opts=self._site.child(self),
        )
        joined = pulumi.Output.all(*values.values()).apply(lambda parts: digest("\n".join(parts)))
        return pulumi.Output.unsecret(joined)
