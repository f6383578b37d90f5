// SPDX-License-Identifier: Apache-2.0
//
// The verifier: after it says yes, the interpreter reads no byte outside the program and no slot that is none.

#include "CLaunch.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>

static bool slot_ok(int32_t slot) { return slot >= -1 && slot < LAUNCH_SLOTS; }

static bool text_ok(const char *program, uint32_t size, uint32_t offset) {
    return offset == 0 || (offset < size && memchr(program + offset, 0, size - offset) != NULL);
}

// The codes that cannot do without these: bit 0 slot, 1 slot2, 2 slot3, 3.. text0, text1, text2, 6 blob.
static const uint8_t needs[L_CODES] = {
    [L_PROPAGATION] = 8, [L_FSMOUNT] = 1 | 8, [L_OPEN_TREE] = 1, [L_MOUNT_ATTR] = 1, [L_ATTACH] = 1 | 2 | 8,
    [L_ATTACH_HOST] = 1 | 8, [L_LEGACY_MOUNT] = 1 | 8 | 16 | 32, [L_READONLY_PATH] = 2 | 8, [L_MASK_PATH] = 1 | 2 | 4 | 8,
    [L_MKNOD] = 1 | 8, [L_MKDIR] = 1 | 8, [L_SYMLINK] = 1 | 8 | 16, [L_ENSURE_DIRECTORY] = 2 | 8, [L_OPEN] = 1 | 8,
    [L_WRITE] = 8 | 64, [L_PIVOT] = 1, [L_HOSTNAME] = 8, [L_NETLINK] = 64, [L_SOCKET] = 1, [L_SEND] = 64, [L_JOIN] = 1,
    [L_GROUPS] = 0, [L_PTY] = 1 | 2 | 4, [L_CONTROLLING_TTY] = 1, [L_SECCOMP] = 64, [L_CHDIR] = 8, [L_EXEC] = 64,
    [L_DEVICE] = 2 | 8, [L_KEYRING] = 8, [L_SCHEDULER] = 64, [L_AFFINITY] = 64, [L_HOOK] = 1 | 64, [L_WAIT_START] = 1,
    [L_FIND] = 64, [L_OWNER] = 1, [L_WRITE_SLOT] = 1 | 64, [L_STUB] = 1, [L_UNMOUNT] = 8,
};

static bool netlink_ok(const char *blob, uint32_t size) {
    while (size > 0) {
        struct nlmsghdr h;
        if (size < sizeof h) return false;
        memcpy(&h, blob, sizeof h);
        // Before it is rounded up: the largest lengths become 0 by that.
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > size) return false;
        uint32_t step = NLMSG_ALIGN(h.nlmsg_len);
        if (step > size) return false;
        blob += step;
        size -= step;
    }
    return true;
}

static bool strings_ok(const char *blob, uint32_t size, uint64_t count) {
    uint64_t found = 0;
    for (uint32_t i = 0; i < size; i++) found += blob[i] == 0;
    return size > 0 && blob[size - 1] == 0 && found >= count;
}

static bool operation_ok(const char *program, uint32_t size, const struct launch_operation *o) {
    if (o->code == 0 || o->code >= L_CODES) return false;
    if (!slot_ok(o->slot) || !slot_ok(o->slot2) || !slot_ok(o->slot3)) return false;
    for (int i = 0; i < 3; i++)
        if (!text_ok(program, size, o->text[i])) return false;
    if (o->blob_size > 0 && (o->blob == 0 || o->blob >= size || o->blob_size > size - o->blob)) return false;
    unsigned need = needs[o->code];
    if ((need & 1 && o->slot < 0) || (need & 2 && o->slot2 < 0) || (need & 4 && o->slot3 < 0)) return false;
    for (int i = 0; i < 3; i++)
        if (need & (8u << i) && o->text[i] == 0) return false;
    if (need & 64 && o->blob_size == 0) return false;
    const char *blob = program + o->blob;
    switch (o->code) {
    case L_FSMOUNT: return o->blob_size == 0 || blob[o->blob_size - 1] == 0;
    case L_LEGACY_MOUNT: return o->blob_size == 0 || (o->blob_size <= 4096 && blob[o->blob_size - 1] == 0);
    case L_NETLINK: return netlink_ok(blob, o->blob_size) && (o->n[0] == NETLINK_ROUTE || o->n[0] == NETLINK_NETFILTER);
    case L_SEND:
        if (o->blob_size % 4 || o->blob_size > 4 * 8) return false;
        for (uint32_t i = 0; i < o->blob_size; i += 4) {
            int32_t s;
            memcpy(&s, blob + i, 4);
            if (s < 0 || s >= LAUNCH_SLOTS) return false;
        }
        return true;
    case L_GROUPS: return o->blob_size % 4 == 0;
    case L_SECCOMP: return o->blob_size % 8 == 0 && o->blob_size / 8 <= 4096;
    case L_DUPLICATE: return o->n[0] <= 2 && (o->slot >= 0 || (o->flags & 1 && o->slot2 >= 0));
    case L_EXEC:
        return o->flags <= (LAUNCH_SECOND | LAUNCH_TERMINAL | LAUNCH_UNCHECKED | LAUNCH_SHALLOW) && o->n[0] > 0 && o->n[1] > 0 && o->n[0] < 512 && o->n[1] < 16000 && o->n[2] < 16000 - o->n[1]
            && strings_ok(blob, o->blob_size, o->n[0] + o->n[1] + o->n[2]);
    case L_STUB: return o->n[0] <= (LAUNCH_SECOND | LAUNCH_TERMINAL);
    case L_DEVICE: return !(o->flags & 1) || o->text[1] != 0;
    case L_SCHEDULER: {
        // sched_attr says itself how long it is (sched_setattr(2)).
        uint32_t stated;
        if (o->blob_size < 56) return false;
        memcpy(&stated, blob, sizeof stated);
        return stated <= o->blob_size;
    }
    case L_AFFINITY: return o->blob_size <= 8192;
    case L_HOOK: return o->n[0] < 2000 && o->n[1] < 2000 && strings_ok(blob, o->blob_size, 1 + o->n[0] + o->n[1]);
    case L_FIND: return o->n[0] > 0 && o->n[0] < 512 && strings_ok(blob, o->blob_size, o->n[0]);
    default: return true;
    }
}

int covey_launch_verify(const void *program, size_t size, int *bad) {
    struct launch_head h;
    *bad = -1;
    if (size < sizeof h || size > LAUNCH_LARGEST) return EINVAL;
    memcpy(&h, program, sizeof h);
    if (h.magic != LAUNCH_MAGIC || h.version != LAUNCH_VERSION || h.size != size) return EINVAL;
    if (h.operations % 8 || h.operations < sizeof h || h.operation_count > LAUNCH_OPERATIONS || h.operations > size
        || (uint64_t)h.operation_count * sizeof(struct launch_operation) > size - h.operations)
        return EINVAL;
    if (h.sync_slot < 0 || h.sync_slot >= (int)h.given_slots || h.given_slots > LAUNCH_SLOTS || h.cgroup_slot < -1
        || h.flags > (LAUNCH_TRACED | LAUNCH_APART) || h.cgroup_slot >= (int)h.given_slots || h.pid_namespace_slot < -1 || h.pid_namespace_slot >= (int)h.given_slots)
        return EINVAL;
    for (uint32_t i = 0; i < h.operation_count; i++) {
        struct launch_operation o;
        memcpy(&o, (const char *)program + h.operations + i * sizeof o, sizeof o);
        if (!operation_ok(program, h.size, &o)) {
            *bad = (int)i;
            return EINVAL;
        }
    }
    return 0;
}
