/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a fuzz target is: libFuzzer's function, which aborts when something is wrong, and inputs to
 * begin with. driver.c runs one without libFuzzer.
 */
#ifndef MEMCTL_FUZZ_H
#define MEMCTL_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends with NULL. */
extern const char *const fuzz_seeds[];

#endif
