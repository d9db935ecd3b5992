/* CRC-32 (ISO 3309, as in gzip and PNG): what frames and journals are checked by. */
#ifndef QC_WORKER_CRC_H
#define QC_WORKER_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t qc_crc32(const void *bytes, size_t size);

#endif
