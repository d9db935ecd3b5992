/* The error map: the sites of a case gathered into the cells of a grid, each
 * cell the worst of its sites.
 *
 * Two grids are made of the same sites: layers by steps, and sites by layers
 * for one step.  Both are bounded: of more rows or columns than fit, several
 * neighbours share one. */
#ifndef RP_MAP_H
#define RP_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "reference/base/json.h"
#include "reference/base/text.h"

enum {
    RP_MAP_LAYERS = 80,  /* rows of layers at most, beside those of what lies outside the layers */
    RP_MAP_STEPS = 50,   /* columns of steps at most */
    RP_MAP_SITES = 60,   /* rows of sites at most; what is beyond is left out and counted */
    RP_MAP_COLUMNS = 40, /* columns of layers at most, where the rows are sites */
};

/* What a row or a column stands for. */
enum rp_band_kind {
    RP_BAND_HANDED, /* what the model is handed: call, weights, adapter, received, cache before */
    RP_BAND_ENTRY,  /* the model before its first layer */
    RP_BAND_NUMBER, /* layers or steps first..last */
    RP_BAND_EXIT,   /* the model behind its last layer */
    RP_BAND_KEPT,   /* the cache as a whole */
    RP_BAND_NONE,   /* no step, or no layer */
    RP_BAND_SITE,   /* one site by its name */
};

struct rp_band {
    enum rp_band_kind kind;
    int64_t first, last; /* RP_BAND_NUMBER */
    const char *name;    /* RP_BAND_SITE: borrowed from the document */
};

/* One cell in one view. */
struct rp_cell {
    char letter;   /* 0: not judged; '.' a ratio; '=' only structure was judged, and it agrees; else of a difference */
    double ratio;  /* with '.': the largest; INFINITY also where the record is no number */
    double height; /* with '.': log10(ratio / bound); -INFINITY for equal bits */
};

struct rp_map {
    int rows, columns;
    struct rp_band *row, *column;        /* [rows], [columns] */
    struct rp_cell *free_run, *isolated; /* [rows * columns], row by row */
    int first_row, first_column;         /* cell of the first divergence; -1 when it is in none */
    int judged, over;                    /* cells of the free-running view, and those of them beyond the bound */
    int left_out;                        /* sites by name that found no row */
    int64_t step;                        /* of rp_map_of_step; -1 for none */
    bool one_view;                       /* the caller's: show the free-running view only */
};

/* Layers by steps, of the array `sites`; `first` is the first divergence or NULL, `bound` the noise multiple.
 * Release with rp_map_clear. */
struct rp_map rp_map_of_steps(const struct qw_json *sites, const struct qw_json *first, double bound);

/* Sites by layers, of the step of the first divergence, else of the first failing site, else of the largest ratio. */
struct rp_map rp_map_of_step(const struct qw_json *sites, const struct qw_json *first, double bound);

void rp_map_clear(struct rp_map *map);

/* How strong a cell is, in the order of the legend.  Up to RP_HEAT_NEAR it conforms. */
enum rp_heat {
    RP_HEAT_BLANK,
    RP_HEAT_EQUAL,     /* equal to the last bit, or in the structure that was judged */
    RP_HEAT_LOW,       /* up to a tenth of the bound */
    RP_HEAT_NEAR,      /* up to the bound */
    RP_HEAT_OVER,      /* up to ten times the bound */
    RP_HEAT_FAR,       /* up to a thousand times */
    RP_HEAT_BEYOND,    /* more, or no finite ratio */
    RP_HEAT_STRUCTURE, /* a letter */
    RP_HEATS
};
enum rp_heat rp_heat_of(const struct rp_cell *cell);

/* Appends "layer 3", "layers 3-4", "step 0", "embedding", the site's name; `unit` is "layer" or "step". */
void rp_add_band(struct qw_text *out, const struct rp_band *band, const char *unit);

/* Appends what stands in the cell: "0.44", "=", "S" for a structural difference, "" for a blank. */
void rp_add_cell_text(struct qw_text *out, const struct rp_cell *cell);

#endif
