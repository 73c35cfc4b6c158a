"""What `base_setup` brings about, for pyinfra: with its own operations."""

from io import StringIO

from pyinfra.operations import apt, files, server

LOCALE = "en_US.UTF-8"
ZONE = "Europe/Berlin"

apt.packages(
    name="packages",
    packages=["ca-certificates", "curl", "git", "gnupg", "htop", "jq", "rsync", "vim", "wget", "locales", "tzdata"],
    no_recommends=True,
    # A fresh index is not fetched again: neither does phoenix when nothing is missing.
    update=True,
    cache_time=86400,
)
listed = files.line(
    name="the locale is listed",
    path="/etc/locale.gen",
    line=r"^#?\s*en_US\.UTF-8 UTF-8\s*$",
    replace=f"{LOCALE} UTF-8",
)
server.shell(name="the locale is made", commands=["locale-gen"], _if=listed.did_change)
files.line(name="the locale is the default", path="/etc/default/locale", line=r"^\s*LANG=.*$", replace=f"LANG={LOCALE}")
files.link(name="the time zone", path="/etc/localtime", target=f"/usr/share/zoneinfo/{ZONE}", force=True, force_backup=False)
files.put(name="the time zone's name", src=StringIO(f"{ZONE}\n"), dest="/etc/timezone", mode="644")
server.shell(
    name="init is up",
    commands=["systemctl is-system-running | grep -qxE 'running|degraded'"],
)
