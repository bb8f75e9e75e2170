/* Draws one labelled picture: one of ten shapes in one of four visual styles, with chance in place, size, rotation,
 * colours and texture. Every sub-pixel is coloured from the distance to the shape's edge (negative inside) and sixteen
 * of them make a pixel. Knows no files.
 *
 *   flat      one colour on another                       sketch   pencil outline on rough paper
 *   textured  a pattern inside, noise outside             faded    low contrast on a gradient, soft edges
 *
 * Units: the picture is the square [-1, 1] x [-1, 1]; shapes are defined within the unit disc. */
#include "data/data_int.h"

#include <math.h>

#define GRID 4 /* sub-pixels a side */
#define PI 3.14159265358979323846

/* What is drawn of every picture; a style takes of it what it needs. */
#define SIZE_LOW 0.5
#define SIZE_HIGH 0.75
#define TURN (PI / 8) /* at most, either way */
#define WANDER 0.6    /* share of the free room that the centre moves in */

typedef struct point {
    double x, y;
} point;

struct scene {
    int shape, style;
    point centre;
    double size, cosine, sine; /* size: of the unit disc in the picture */
    double soft;               /* width of the edge, in picture units */
    double stroke;             /* half width of outlines */
    double colour[2][3];       /* of the ground and of the shape, 0..1 */
    double second[2][3];       /* the colours that patterns and gradients go to */
    point direction;           /* of gradients and stripes */
    double frequency;
    int pattern;
    uint32_t noise; /* salt of the noise's lattice */
};

const char *const fet__shape_names[FET__SHAPES] = {"disc", "square", "triangle", "ring",  "cross",
                                                   "star", "bars",   "crescent", "arrow", "dumbbell"};
const char *const fet__style_names[FET__STYLES] = {"flat", "sketch", "textured", "faded"};

/* ---- distances to shapes --------------------------------------------------------------------------------- */

/* hypot() guards against overflow, which cannot happen here, at five times the cost. */
static double norm(double x, double y)
{
    return sqrt(x * x + y * y);
}

static double box_distance(point p, double cx, double cy, double half_x, double half_y)
{
    double dx = fabs(p.x - cx) - half_x, dy = fabs(p.y - cy) - half_y;
    double outside = norm(dx > 0 ? dx : 0, dy > 0 ? dy : 0);
    double inside = dx > dy ? dx : dy;
    return outside + (inside < 0 ? inside : 0);
}

static double disc_distance(point p, double cx, double cy, double radius)
{
    return norm(p.x - cx, p.y - cy) - radius;
}

/* Even-odd rule for the sign, nearest edge for the amount. */
static double polygon_distance(point p, const point *v, int count)
{
    double best = INFINITY;
    bool inside = false;
    for (int i = 0, j = count - 1; i < count; j = i++) {
        point e = {v[j].x - v[i].x, v[j].y - v[i].y}, w = {p.x - v[i].x, p.y - v[i].y};
        double t = (w.x * e.x + w.y * e.y) / (e.x * e.x + e.y * e.y);
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        double d = norm(w.x - e.x * t, w.y - e.y * t);
        best = d < best ? d : best;
        if ((v[i].y > p.y) != (v[j].y > p.y) && p.x < v[i].x + e.x * (p.y - v[i].y) / e.y)
            inside = !inside;
    }
    return inside ? -best : best;
}

/* A five-pointed star: its corners by turns on the unit circle and on an inner one. */
static double star_distance(point p)
{
    static const point v[10] = {
        {0, -1},   {0.2469, -0.3398}, {0.9511, -0.3090}, {0.3995, 0.1298},   {0.5878, 0.8090},
        {0, 0.42}, {-0.5878, 0.8090}, {-0.3995, 0.1298}, {-0.9511, -0.3090}, {-0.2469, -0.3398}};
    return polygon_distance(p, v, 10);
}

static double triangle_distance(point p)
{
    static const point v[3] = {{0, -1}, {0.92, 0.68}, {-0.92, 0.68}};
    return polygon_distance(p, v, 3);
}

static double arrow_distance(point p)
{
    static const point v[7] = {{0, -1},      {0.8, -0.1},  {0.3, -0.1}, {0.3, 0.95},
                               {-0.3, 0.95}, {-0.3, -0.1}, {-0.8, -0.1}};
    return polygon_distance(p, v, 7);
}

static double bars_distance(point p)
{
    double a = box_distance(p, -0.62, 0, 0.19, 0.85), b = box_distance(p, 0, 0, 0.19, 0.85);
    double c = box_distance(p, 0.62, 0, 0.19, 0.85);
    return fmin(a, fmin(b, c));
}

static double dumbbell_distance(point p)
{
    double ends = fmin(disc_distance(p, 0, -0.62, 0.4), disc_distance(p, 0, 0.62, 0.4));
    return fmin(ends, box_distance(p, 0, 0, 0.13, 0.5));
}

static double shape_distance(int shape, point p)
{
    switch (shape) {
    case 0: return disc_distance(p, 0, 0, 0.88);
    case 1: return box_distance(p, 0, 0, 0.76, 0.76);
    case 2: return triangle_distance(p);
    case 3: return fabs(disc_distance(p, 0, 0, 0.7)) - 0.2;
    case 4: return fmin(box_distance(p, 0, 0, 0.26, 0.9), box_distance(p, 0, 0, 0.9, 0.26));
    case 5: return star_distance(p);
    case 6: return bars_distance(p);
    case 7: return fmax(disc_distance(p, 0, 0, 0.92), -disc_distance(p, 0.42, 0, 0.72));
    case 8: return arrow_distance(p);
    default: return dumbbell_distance(p);
    }
}

/* ---- noise and patterns ---------------------------------------------------------------------------------- */

static double lattice(uint32_t salt, int x, int y)
{
    uint32_t h = salt ^ ((uint32_t)x * 0x9e3779b1u) ^ ((uint32_t)y * 0x85ebca6bu);
    h = (h ^ (h >> 15)) * 0x2c1b3c6du;
    h = (h ^ (h >> 12)) * 0x297a2d39u;
    return (double)((h ^ (h >> 15)) >> 8) / 16777216.0;
}

/* Smooth noise in 0..1 with features of about 1 / frequency. */
static double noise_at(const struct scene *s, point p, double frequency)
{
    double x = p.x * frequency, y = p.y * frequency, fx = floor(x), fy = floor(y);
    int ix = (int)fx, iy = (int)fy;
    double u = x - fx, v = y - fy;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    double top = lattice(s->noise, ix, iy) * (1 - u) + lattice(s->noise, ix + 1, iy) * u;
    double low = lattice(s->noise, ix, iy + 1) * (1 - u) + lattice(s->noise, ix + 1, iy + 1) * u;
    return top * (1 - v) + low * v;
}

/* Stripes, checks or dots: 0 or 1. */
static double pattern_at(const struct scene *s, point p)
{
    double a = (p.x * s->direction.x + p.y * s->direction.y) * s->frequency;
    double b = (p.y * s->direction.x - p.x * s->direction.y) * s->frequency;
    bool odd_a = fmod(floor(a), 2) != 0, odd_b = fmod(floor(b), 2) != 0;
    if (s->pattern == 0)
        return odd_a;
    if (s->pattern == 1)
        return odd_a != odd_b;
    return norm(a - floor(a) - 0.5, b - floor(b) - 0.5) < 0.33;
}

/* ---- styles ---------------------------------------------------------------------------------------------- */

static void mix(double out[3], const double a[3], const double b[3], double t)
{
    for (int c = 0; c < 3; c++)
        out[c] = a[c] + (b[c] - a[c]) * t;
}

/* Share of the shape at distance d: an edge that is `soft` wide. */
static double coverage(const struct scene *s, double d)
{
    if (s->soft <= 0)
        return d < 0;
    double t = 0.5 - d / s->soft;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return t * t * (3 - 2 * t);
}

static void colour_flat(double out[3], const struct scene *s, point p, double d)
{
    (void)p;
    mix(out, s->colour[0], s->colour[1], d < 0);
}

static void colour_sketch(double out[3], const struct scene *s, point p, double d)
{
    double ground[3];
    double wobble = (noise_at(s, p, 5) - 0.5) * 0.09; /* a hand is not a ruler */
    double pressure = 0.6 + 0.4 * noise_at(s, p, 9);
    mix(ground, s->colour[0], s->second[0], noise_at(s, p, 14)); /* the paper's grain */
    mix(out, ground, s->colour[1], fabs(d + wobble) < s->stroke ? pressure : 0);
}

static void colour_textured(double out[3], const struct scene *s, point p, double d)
{
    double ground[3], body[3];
    mix(ground, s->colour[0], s->second[0], noise_at(s, p, 6));
    mix(body, s->colour[1], s->second[1], pattern_at(s, p));
    mix(out, ground, body, d < 0);
}

static void colour_faded(double out[3], const struct scene *s, point p, double d)
{
    double ground[3];
    double t = 0.5 + 0.35 * (p.x * s->direction.x + p.y * s->direction.y);
    mix(ground, s->colour[0], s->second[0], t);
    for (int c = 0; c < 3; c++)
        out[c] = ground[c] + (s->colour[1][c] - 0.5) * 0.5 * coverage(s, d);
}

static void colour_at(double out[3], const struct scene *s, point p)
{
    static void (*const styles[FET__STYLES])(double[3], const struct scene *, point,
                                             double) = {colour_flat, colour_sketch, colour_textured, colour_faded};
    double x = (p.x - s->centre.x) / s->size, y = (p.y - s->centre.y) / s->size;
    point local = {x * s->cosine + y * s->sine, y * s->cosine - x * s->sine};
    styles[s->style](out, s, p, shape_distance(s->shape, local) * s->size);
}

/* ---- chance ---------------------------------------------------------------------------------------------- */

static double luma(const double c[3])
{
    return 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2];
}

static void draw_colour(double c[3], fet__rng *r, double low, double high)
{
    for (int i = 0; i < 3; i++)
        c[i] = fet__rng_uniform(r, low, high);
}

/* Two colours that can be told apart by their brightness. */
static void draw_pair(double a[3], double b[3], fet__rng *r, double contrast)
{
    do {
        draw_colour(a, r, 0, 1);
        draw_colour(b, r, 0, 1);
    } while (fabs(luma(a) - luma(b)) < contrast);
}

static void draw_colours(struct scene *s, fet__rng *r)
{
    switch (s->style) {
    case 0: /* dark on light: with either way round, a small model needs thousands of pictures to see the shape */
        draw_colour(s->colour[0], r, 0.6, 1);
        draw_colour(s->colour[1], r, 0, 0.4);
        break;
    case 1:
        draw_colour(s->colour[0], r, 0.8, 1);
        mix(s->second[0], s->colour[0], (const double[3]){0.45, 0.42, 0.35}, 0.5);
        draw_colour(s->colour[1], r, 0, 0.25);
        break;
    case 2:
        draw_pair(s->colour[0], s->colour[1], r, 0.35);
        draw_colour(s->second[0], r, 0, 1);
        mix(s->second[0], s->colour[0], s->second[0], 0.4);
        draw_colour(s->second[1], r, 0, 1);
        mix(s->second[1], s->colour[1], s->second[1], 0.6);
        break;
    default: /* the shape is 0.5 plus or minus: lighter or darker than the ground */
        draw_colour(s->colour[0], r, 0.3, 0.5);
        draw_colour(s->second[0], r, 0.5, 0.7);
        draw_colour(s->colour[1], r, 0.06, 0.2);
        if (fet__rng_u32(r) & 1)
            for (int c = 0; c < 3; c++)
                s->colour[1][c] = 1 - s->colour[1][c];
    }
}

static struct scene draw_scene(int shape, int style, fet__rng *r)
{
    struct scene s = {.shape = shape, .style = style};
    s.size = fet__rng_uniform(r, SIZE_LOW, SIZE_HIGH);
    double room = WANDER * (0.95 - s.size); /* the shape stays in the picture */
    s.centre.x = fet__rng_uniform(r, -room, room);
    s.centre.y = fet__rng_uniform(r, -room, room);
    double turn = fet__rng_uniform(r, -TURN, TURN), angle = fet__rng_uniform(r, 0, 2 * PI);
    s.cosine = cos(turn);
    s.sine = sin(turn);
    s.direction = (point){cos(angle), sin(angle)};
    s.frequency = fet__rng_uniform(r, 4, 8);
    s.pattern = (int)fet__rng_int(r, 0, 2);
    s.noise = fet__rng_u32(r);
    s.stroke = fet__rng_uniform(r, 0.035, 0.06);
    s.soft = fet__rng_uniform(r, 0.15, 0.3);
    draw_colours(&s, r);
    return s;
}

static uint8_t to_byte(double v)
{
    v = v * 255 + 0.5;
    return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
}

void fet__shape_draw(fet__image *im, int shape, int style, fet__rng *r)
{
    struct scene s = draw_scene(shape, style, r);
    double step_y = 2.0 / (im->height * GRID), step_x = 2.0 / (im->width * GRID);
    for (int y = 0; y < im->height; y++) {
        for (int x = 0; x < im->width; x++) {
            double sum[3] = {0, 0, 0}, c[3];
            for (int i = 0; i < GRID * GRID; i++) {
                int sub_x = x * GRID + i % GRID, sub_y = y * GRID + i / GRID;
                point p = {(sub_x + 0.5) * step_x - 1, (sub_y + 0.5) * step_y - 1};
                colour_at(c, &s, p);
                for (int k = 0; k < 3; k++)
                    sum[k] += c[k];
            }
            for (int k = 0; k < 3; k++)
                im->pixels[((size_t)y * im->width + x) * 3 + k] = to_byte(sum[k] / (GRID * GRID));
        }
    }
}
