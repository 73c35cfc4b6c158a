//! Rules of the real tools beyond the recorded cases, grouped by what they are about. The lines are what a node of
//! Proxmox VE 9.2 answers: read in the tools' own sources of that version, or seen on a node.

use super::*;

const TINY: &str = "local:vztmpl/tiny-12_1.0_amd64.tar.zst";

/// Plays a script: a line that begins with `$` is typed (`TINY` is the small template), what follows is what comes:
/// `>` on standard output, `!` on standard error, `= fail` where the exit status is not zero. Lines that begin with `@`
/// are typed too, must succeed, and nobody looks at what they say. `..` stands for any further lines of the stream.
fn play(script: &str) {
    let sandbox = in_memory();
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    while let Some(line) = lines.next() {
        let command = line[1..].trim().replace("TINY", TINY);
        let (code, stdout, stderr) = typed_words(&sandbox, &command);
        if line.starts_with('@') {
            assert_eq!(code, 0, "{command}: {stderr}");
            continue;
        }
        assert!(line.starts_with('$'), "no command: {line}");
        let (mut out, mut err, mut fails) = (Vec::new(), Vec::new(), false);
        while let Some(line) = lines.next_if(|line| line.starts_with(['>', '!', '='])) {
            let text = line[1..].trim();
            match &line[..1] {
                ">" => out.push(text),
                "!" => err.push(text),
                _ => fails = text == "fail",
            }
        }
        assert_eq!(code != 0, fails, "{command}: {stdout}{stderr}");
        for (expected, stream) in [(out, &stdout), (err, &stderr)] {
            let said: Vec<&str> = stream.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
            match expected.split_last() {
                Some((&"..", first)) => assert!(said.starts_with(first), "{command}: {said:#?}"),
                _ => assert_eq!(said, expected, "{command}"),
            }
        }
    }
}

/// As [`typed`], with `\n` in a word for a newline.
fn typed_words(sandbox: &Sandbox, line: &str) -> (i32, String, String) {
    let words: Vec<String> = shlex::split(line).unwrap().into_iter().map(|word| word.replace("\\n", "\n")).collect();
    let Output { code, stdout, stderr, .. } = sandbox.exec(&words, "").unwrap();
    (code, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_container_without_architecture_refuses_everything_but_one() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1
        $ pct set 201 --delete arch
        ! missing 'arch' - internal error at /usr/share/perl5/PVE/LXC.pm line 655.
        = fail
        $ pct start 201
        ! missing 'arch' - internal error at /usr/share/perl5/PVE/LXC.pm line 655.
        = fail
        @ pct set 201 --arch amd64
        @ pct start 201
        ",
    );
}

#[test]
fn a_missing_bridge_is_an_error_that_is_stored_and_one_of_a_running_container_is_not() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1
        $ pct set 201 --net0 name=eth0,bridge=lan9,hwaddr=02:00:00:00:00:01
        ! bridge 'lan9' does not exist
        = fail
        $ pct set 201 --tags a
        ! bridge 'lan9' does not exist
        = fail
        $ pct config 201
        > arch: amd64
        > hostname: CT201
        > memory: 512
        > net0: name=eth0,bridge=lan9,hwaddr=02:00:00:00:00:01,type=veth
        > ostype: debian
        > rootfs: btr:201/vm-201-disk-0.raw,size=1G
        > swap: 512
        > tags: a
        > unprivileged: 1
        @ pct set 201 --delete net0
        @ pct start 201
        $ pct set 201 --net0 name=eth0,bridge=lan9
        ! 400 Parameter verification failed.
        ! net0: unable to hotplug net0: bridge 'lan9' does not exist
        ! pct set <vmid> [OPTIONS]
        = fail
        @ pct set 201 --net0 name=eth0,bridge=vmbr0,hwaddr=02:00:00:00:00:01
        $ pct set 201 --net0 name=eth0,bridge=lan9,hwaddr=02:00:00:00:00:01
        ! 400 Parameter verification failed.
        ! net0: unable to hotplug net0: interface lan9 does not exist
        ! pct set <vmid> [OPTIONS]
        = fail
        $ pct set 201 --net1 name=eth1,bridge=vmbr0,mtu=9000
        ! net1: MTU size '9000' is bigger than bridge MTU '1500'
        = fail
        ",
    );
}

#[test]
fn a_pending_value_outlives_the_removal_of_its_key() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1 --cmode console
        @ pct start 201
        @ pct set 201 --cmode shell
        @ pct set 201 --delete cmode
        $ pct pending 201
        > cur arch: amd64
        > del cmode: console
        > cur hostname: CT201
        > ..
        $ pct set 201 --tty 3
        $ pct set 201 --delete tty
        @ pct stop 201
        $ pct config 201
        > arch: amd64
        > cmode: shell
        > hostname: CT201
        > memory: 512
        > ostype: debian
        > rootfs: btr:201/vm-201-disk-0.raw,size=1G
        > swap: 512
        > tty: 3
        > unprivileged: 1
        ",
    );
}

#[test]
fn names_of_keys_are_looked_at_after_the_container() {
    play(
        r"
        $ pct set 201 --delete nosuch
        ! Configuration file 'nodes/pve/lxc/201.conf' does not exist
        = fail
        @ pct create 201 TINY --rootfs btr:1
        $ pct set 201 --revert nosuch
        ! 400 Parameter verification failed.
        ! revert: unknown option 'nosuch'
        ! pct set <vmid> [OPTIONS]
        = fail
        $ pct set 201 --revert swap --swap 1
        ! 400 Parameter verification failed.
        ! revert: you can't use '-swap' and '-revert swap' at the same time
        ! pct set <vmid> [OPTIONS]
        = fail
        $ pct set 201 --delete swap --swap 1
        ! 400 Parameter verification failed.
        ! delete: you can't use '-swap' and -delete swap' at the same time
        ! pct set <vmid> [OPTIONS]
        = fail
        $ pct set 201 --delete swap --revert swap
        ! 400 Parameter verification failed.
        ! delete: you can't use '-delete swap' and '-revert swap' at the same time
        ! pct set <vmid> [OPTIONS]
        = fail
        $ pct set 201 --dev0 /dev/nosuch
        ! Device /dev/nosuch does not exist
        = fail
        $ pct set 201 --hookscript local:snippets/nosuch.sh
        ! script 'local:snippets/nosuch.sh' does not exist
        = fail
        ",
    );
}

#[test]
fn volumes_that_cannot_be_found_are_taken_and_cannot_be_removed() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1
        $ pct set 201 --mp3 btr:201/vm-201-disk-9.raw,mp=/x
        ! failed to stat '/mnt/btr/pve/images/201/vm-201-disk-9/disk.raw'
        $ pct destroy 201
        ! command 'btrfs subvolume delete -- /mnt/btr/pve/images/201/vm-201-disk-9' failed: ERROR: Could not statfs: No such file or directory
        = fail
        $ pvesm list btr --vmid 201
        > Volid Format  Type      Size VMID
        $ pct start 201
        ! volume 'btr:201/vm-201-disk-0.raw' does not exist
        = fail
        ",
    );
}

#[test]
fn a_root_file_system_is_set_as_text_and_a_mount_point_makes_its_volume() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1 --mp0 btr:0.5,mp=/a
        @ pct set 201 --mp0 btr:0.25,mp=/a
        @ pct set 201 --rootfs btr:2
        $ pct config 201
        > arch: amd64
        > hostname: CT201
        > memory: 512
        > mp0: btr:201/vm-201-disk-2.raw,mp=/a,size=256M
        > ostype: debian
        > rootfs: btr:2
        > swap: 512
        > unprivileged: 1
        > unused0: btr:201/vm-201-disk-1.raw
        $ pct start 201
        ! unable to parse directory volume name '2'
        = fail
        ",
    );
}

#[test]
fn a_lock_that_a_mount_leaves_stops_changes_but_neither_start_nor_stop() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1
        $ pct mount 201
        > mounted CT 201 in '/var/lib/lxc/201/rootfs'
        $ pct set 201 --tags a
        ! CT is locked (mounted)
        = fail
        @ pct start 201
        @ pct stop 201
        @ pct unmount 201
        @ pct set 201 --lock backup
        $ pct unmount 201
        ! found lock 'backup' trying to remove 'mounted' lock
        = fail
        ",
    );
}

#[test]
fn a_container_that_does_not_come_back_stays_stopped() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1
        @ pct start 201
        @ pct set 201 --lock backup
        $ pct reboot 201
        > ..
        ! startup for container '201' failed
        = fail
        @ pct unlock 201
        $ pct status 201
        > status: stopped
        @ pct set 201 --rootfs btr:201/vm-201-disk-0.raw,ro=1
        $ pct start 201
        > ..
        ! startup for container '201' failed
        = fail
        ",
    );
}

#[test]
fn snapshots_may_be_called_pending_and_differ_by_case() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1
        @ pct snapshot 201 pending
        @ pct snapshot 201 Pending_2 --description 'why\nhow'
        @ pct snapshot 201 pending_2
        $ pct pending 201
        > cur arch: amd64
        > cur hostname: CT201
        > cur memory: 512
        > cur ostype: debian
        > cur parent: pending_2
        > cur rootfs: btr:201/vm-201-disk-0.raw,size=1G
        > cur swap: 512
        > cur unprivileged: 1
        $ pct config 201 --snapshot Pending_2 --current 1
        ! 400 Parameter verification failed.
        ! current: cannot use 'snapshot' parameter with 'current'
        ! snapshot: cannot use 'snapshot' parameter with 'current'
        ! pct config <vmid> [OPTIONS]
        = fail
        @ pct set 201 --lock snapshot
        $ pct delsnapshot 201 pending --force 1
        ! CT is locked (snapshot)
        = fail
        ",
    );
}

#[test]
fn a_copy_is_refused_in_the_order_of_the_keys() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1 --mp0 /srv/conformance/share,mp=/a --description mine
        @ pct start 201
        $ pct clone 201 202
        ! unable to clone mountpoint 'mp0' (type bind)
        = fail
        @ pct stop 201
        @ pct set 201 --delete mp0
        @ pct snapshot 201 one --description then
        $ pct clone 201 202 --full 0 --storage btr --snapname nosuch
        ! parameter 'storage' not allowed for linked clones
        = fail
        @ pct clone 201 202 --snapname one
        $ pct config 202
        > arch: amd64
        > description: then%0A
        > ..
        ",
    );
}

#[test]
fn volumes_move_to_storages_and_to_other_containers() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1 --mp0 btr:0.5,mp=/a --mp1 /srv/conformance/share,mp=/b
        @ pct create 202 TINY --rootfs btr:1
        $ pct move-volume 201 mp0
        ! 400 Parameter verification failed.
        ! storage: both 'storage' and 'target-vmid' missing, either needs to be set
        ! target-vmid: both 'storage' and 'target-vmid' missing, either needs to be set
        ! pct move-volume <vmid> <volume> [<storage>] [<target-vmid>] [<target-volume>] [OPTIONS]
        = fail
        $ pct move-volume 201 unused0 local
        ! cannot move volume 'unused0', only configured volumes can be moved to another storage
        = fail
        $ pct move-volume 201 mp1 local
        ! cannot copy volumes of type bind
        = fail
        $ pct move-volume 201 mp0 --target-vmid 202 --target-volume mp5
        > moving volume 'mp0' from container '201' to '202'
        > removing volume 'mp0' from container '201' config
        > target container '202' updated with 'mp5'
        $ pct move-volume 201 rootfs --target-vmid 202
        ! Cannot move to/from 'rootfs'
        = fail
        $ pct config 202
        > arch: amd64
        > hostname: CT202
        > memory: 512
        > mp5: btr:202/vm-202-disk-1.raw,mp=/a,size=512M
        > ..
        ",
    );
}

#[test]
fn volumes_that_nobody_names_are_found_again() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1
        @ pvesm alloc btr 201 vm-201-disk-4.raw 16M
        $ pct rescan --dryrun 1
        > NOTE: running in dry-run mode, won't write changes out!
        > rescan volumes...
        > CT 201: add unreferenced volume 'btr:201/vm-201-disk-4.raw' as 'unused0' to config.
        $ pct rescan --vmid 201
        > rescan volumes...
        > CT 201: add unreferenced volume 'btr:201/vm-201-disk-4.raw' as 'unused0' to config.
        $ pct rescan
        > rescan volumes...
        $ pct fsck 201 --device mp0
        ! cannot run command on non-existing mount point mp0
        = fail
        ",
    );
}

#[test]
fn what_is_purged_is_told_and_the_id_is_looked_at_first() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1
        $ pct create 201 nosuch:vztmpl/x --rootfs nosuch:1 --pool nosuch
        ! CT 201 already exists on node 'pve'
        = fail
        $ pct destroy 201 --purge 1
        > purging CT 201 from related configurations..
        $ pct migrate 201 pve
        ! 400 Parameter verification failed.
        ! target: target is local node.
        ! pct migrate <vmid> <target> [OPTIONS]
        = fail
        $ pct migrate 201 other
        ! no such cluster node 'other'
        = fail
        ",
    );
}

#[test]
fn programs_inside_have_the_caller_s_environment_or_a_clean_one() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1 --hostname h.example.org
        @ pct start 201
        $ pct exec 201 -- hostname
        > h.example.org
        $ pct exec 201 -- cat /etc/hostname
        > h
        $ pct exec 201 --keep-env 0 -- env
        > PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        > TERM=linux
        > container=lxc
        $ pct exec 201 -- sh -c 'cd /srv && pwd > /root/where; cat /root/where | wc -l; false || echo $? $1' me you
        > 1
        > 1 you
        $ pct exec 201 -- sh -c 'nosuch; echo $?'
        > 127
        ! sh: nosuch: not found
        $ pct exec 201 -- sh -c 'for i in 1; do echo; done'
        ! sh: `for i in 1; do echo; done` is more than the sandbox's shell can do, model it in a .model.rhai file
        = fail
        $ pct exec 201 -- sh -c 'echo x > /no/such'
        ! sh: can't create /no/such: nonexistent directory
        = fail
        $ pct exec 201 -- stat -c '%F %a %U:%G' /etc/hostname
        > regular file 644 root:root
        ",
    );
}

#[test]
fn files_are_made_before_the_other_side_is_looked_at() {
    play(
        r"
        @ pct create 201 TINY --rootfs btr:1
        @ pct start 201
        $ pct pull 201 /nosuch /no/dir/x
        ! failed to create file: /no/dir/x: No such file or directory
        $ pct push 201 /srv/conformance/hello.txt /root/x --perms 0x1ff
        $ pct exec 201 -- stat -c %a /root/x
        > 777
        $ pct push 201 /srv/conformance/hello.txt /root/x --group nosuch --perms rwx
        ! failed to get gid for: nosuch
        $ pct push 201 /srv/conformance/hello.txt /root
        ! failed to create file: /root: Is a directory
        ",
    );
}

#[test]
fn a_machine_says_what_it_cannot_do_in_its_own_words() {
    play(
        r"
        @ qm create 201 --scsi0 btr:0.1
        $ qm set 201 --tags a --digest 0123
        ! checksum mismatch (file change by other user?)
        = fail
        $ qm create 202 --ide2 local:cloudinit --ide0 btr:cloudinit
        > ..
        ! unable to create VM 202 - ide2 - cloud-init drive is already attached at 'ide0'
        = fail
        $ qm create 202 --scsi0 local:iso/x.iso
        ! 400 Parameter verification failed.
        ! scsi0: explicit 'media=cdrom' is required for iso images
        ! qm create <vmid> [OPTIONS]
        = fail
        $ qm set 201 --delete nosuch
        ! 400 Parameter verification failed.
        ! delete: unknown option 'nosuch'
        ! qm set <vmid> [OPTIONS]
        = fail
        $ qm set 201 --delete ''
        ! no options specified
        = fail
        $ qm disk unlink 201 --idlist nosuch
        ! 400 Parameter verification failed.
        ! delete: unknown option 'nosuch'
        ! qm disk unlink <vmid> --idlist <string> [OPTIONS]
        = fail
        $ qm disk move 201 scsi0 local --delete 1
        > copying volume 'btr:201/vm-201-disk-0.raw' from current storage 'btr' to target storage 'local'
        > create full clone of drive scsi0 (btr:201/vm-201-disk-0.raw)
        > allocated target volume 'local:201/vm-201-disk-0.raw'
        $ qm disk move 201 scsi0 btr
        > ..
        @ qm start 201
        $ qm set 201 --delete scsi0
        > ..
        ! 400 Parameter verification failed.
        ! scsi0: hotplug problem - can't unplug bootdisk 'scsi0'
        ! qm set <vmid> [OPTIONS]
        = fail
        # What waits from before goes on waiting.
        $ qm set 201 --scsi1 btr:0.1
        > ..
        @ qm set 201 --revert scsi0
        @ qm stop 201
        @ qm snapshot 201 one --description then
        @ qm clone 201 203 --snapname one
        $ qm config 203
        > boot:
        > description: then
        > ..
        ",
    );
}

#[test]
fn firewalls_are_read_and_written_over_the_api() {
    play(
        r#"
        $ pvesh create /nodes/pve/lxc/201/firewall/rules --type in --action ACCEPT --dport 22
        ! 400 Parameter verification failed.
        ! proto: missing property - 'dport' requires this property
        ! pvesh create <api_path> --action <string> --type <string> [OPTIONS] [FORMAT_OPTIONS]
        = fail
        $ pvesh create /nodes/pve/lxc/201/firewall/rules --type in --action ACCEPT --source +nosuch
        ! 400 Parameter verification failed.
        ! source: no such ipset 'nosuch'
        ! pvesh create <api_path> --action <string> --type <string> [OPTIONS] [FORMAT_OPTIONS]
        = fail
        $ pvesh create /nodes/pve/lxc/201/firewall/rules --type forward --action ACCEPT
        ! 400 Parameter verification failed.
        ! type: invalid rule type 'forward' for rule_env 'ct'
        ! pvesh create <api_path> --action <string> --type <string> [OPTIONS] [FORMAT_OPTIONS]
        = fail
        @ pvesh create /cluster/firewall/ipset --name admins
        @ pvesh create /cluster/firewall/ipset/admins --cidr 192.0.2.7/32
        $ pvesh create /cluster/firewall/ipset/admins --cidr 192.0.2.7
        ! 400 Parameter verification failed.
        ! cidr: address '192.0.2.7' already exists
        ! pvesh create <api_path> --cidr <string> [OPTIONS] [FORMAT_OPTIONS]
        = fail
        $ pvesh delete /cluster/firewall/ipset/admins
        ! IPSet 'admins' is not empty
        = fail
        @ pvesh create /nodes/pve/lxc/201/firewall/aliases --name Home --cidr 198.51.100.0/24
        @ pvesh create /nodes/pve/lxc/201/firewall/rules --type in --action DROP --source +admins --dest home --enable 1
        @ pvesh create /nodes/pve/lxc/201/firewall/rules --type group --action web --iface net0
        @ pvesh set /nodes/pve/lxc/201/firewall/rules/0 --moveto 2
        $ cat /etc/pve/firewall/201.fw
        > [ALIASES]
        > Home 198.51.100.0/24
        > [RULES]
        > IN DROP -source +admins -dest home
        > |GROUP web -i net0
        $ pvesh get /nodes/pve/lxc/201/firewall/rules/7
        ! no rule at position 7
        = fail
        $ pvesh set /nodes/pve/lxc/201/firewall/options --delete nosuch
        ! 400 Parameter verification failed.
        ! delete: no such option 'nosuch'
        ! pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]
        = fail
        $ pvesh get /nodes/pve/lxc --nosuch 1
        ! Unknown option: nosuch
        ! 400 unable to parse option
        ! pvesh get <api_path> [OPTIONS] [FORMAT_OPTIONS]
        = fail
        "#,
    );
}
