#!/bin/bash
# Starts munge and a SLURM cluster of one node with two CPUs, of Debian's slurm-wlm and munge; needs root.
#   start.sh FOLDER    everything lies in FOLDER; afterwards SLURM_CONF=FOLDER/slurm.conf
#   start.sh FOLDER stop
set -euo pipefail
folder=$(realpath -m "$1")
export SLURM_CONF="$folder/slurm.conf"

stop() {
    # jobs first: what runs them outlives the daemons
    if [ -f "$folder/slurm.conf" ] && timeout 5 scancel --quiet --user=root; then
        for _ in $(seq 40); do
            [ -z "$(timeout 5 squeue --noheader)" ] && break
            sleep 0.5
        done
    fi
    for name in slurmd slurmctld munged; do
        if [ -f "$folder/$name.pid" ]; then
            kill -9 "$(cat "$folder/$name.pid")" 2>/dev/null || true
        fi
    done
}

if [ "${2:-}" = stop ]; then
    stop
    exit 0
fi

mkdir -p "$folder"/{state,spool}
chmod 755 "$folder"
node=$(hostname -s)
port=$((20000 + RANDOM % 10000))
memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)

# munge insists on folders that nobody else can write to
[ -f "$folder/munge.key" ] || dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none
chmod 600 "$folder/munge.key"
munged --force --key-file "$folder/munge.key" --socket "$folder/munge.socket" \
    --pid-file "$folder/munged.pid" --log-file "$folder/munged.log" --seed-file "$folder/munge.seed"

cat > "$folder/slurm.conf" <<CONF
ClusterName=defuse
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=100000,batch_sched_delay=0
ReturnToService=2
SlurmdParameters=config_overrides
JobRequeue=1
KillWait=5
MinJobAge=300
NodeName=$node NodeAddr=127.0.0.1 CPUs=2 RealMemory=$memory State=UNKNOWN
PartitionName=test Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF

slurmctld -c
slurmd
for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2>/dev/null | grep -q '^idle'; then
        exit 0
    fi
    sleep 0.5
done
echo "the node did not come up:" >&2
for log in "$folder"/*.log; do tail -n 20 "$log"; done >&2
stop
exit 1
