// SPDX-License-Identifier: Apache-2.0
//
// Giving back pages of program text that were needed for work that is done.
#pragma once
#include <link.h>
#include <sys/mman.h>

static inline int linux_release_object(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size;
    (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        // Segments never written are the file's own pages: dropped here they are mapped again from the page cache. Those
        // with relocations are in writable segments and are left alone.
        if (p->p_type != PT_LOAD || p->p_flags & PF_W) continue;
        uintptr_t from = (info->dlpi_addr + p->p_vaddr + 4095) & ~(uintptr_t)4095;
        uintptr_t to = (info->dlpi_addr + p->p_vaddr + p->p_filesz) & ~(uintptr_t)4095;
        if (to > from) madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 0;
}
static inline void linux_release_text(void) { dl_iterate_phdr(linux_release_object, 0); }
