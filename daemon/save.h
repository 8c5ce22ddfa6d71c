/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changing a guest's own settings: checked here, kept by the hypervisor. */
#ifndef MEMCTLD_SAVE_H
#define MEMCTLD_SAVE_H

#include "control.h"

/* Check and store what args say of the guest, which may be one that does not run, and answer. */
void save_settings(struct request *request, struct daemon *daemon, struct mc_guest *guest,
                   const json_t *args);

#endif
