/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What memctld and the agent inside a guest agree on; docs/agent-protocol.md describes it. One JSON
 * object per line over a virtio-serial port. Needs nothing else of memctl, so that agents can be
 * built without it.
 */
#ifndef MEMCTL_AGENT_PROTOCOL_H
#define MEMCTL_AGENT_PROTOCOL_H

/* The port's name inside the guest and in the guest's definition. */
#define MC_AGENT_PORT "org.memctl.guest.0"

/* The key that every message carries, and its value. */
#define MC_AGENT_KEY "memctl-agent"
#define MC_AGENT_PROTOCOL 1

/* The longest line in either direction, its newline included. */
#define MC_AGENT_LINE_MAX 4096

/* Seconds between two reports. */
#define MC_AGENT_INTERVAL_MIN 1
#define MC_AGENT_INTERVAL_MAX 60
#define MC_AGENT_INTERVAL_DEFAULT 2

/* The longest texts of a hello, without their final NUL. */
#define MC_AGENT_VERSION_MAX 31
#define MC_AGENT_KERNEL_MAX 64

/* The longest name of a method to find the working set, and how far back one can look. */
#define MC_AGENT_METHOD_MAX 15
#define MC_AGENT_WINDOW_MAX_MS 3600000

#endif
