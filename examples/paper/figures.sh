#!/bin/sh
# Makes the figures of docs/paper.md from the runs of train.py by isoloss alone: sh examples/paper/figures.sh [FIGURE ...]
# Each is written as text, SVG, PNG and JSON to figures/ beside the runs; what was made before is left, and what is of
# networks that were not trained is left out. ISOLOSS names the program, RUNS the folder of the runs, DATA the samples;
# SAMPLES is the number of samples of figures 1 to 6 and 9, GRID that of the lines of figures 1 to 6.
set -eu

isoloss=${ISOLOSS:-isoloss}
runs=${RUNS:-runs/paper}
data=${DATA:-$runs/fashion-mnist.npz}
samples=${SAMPLES:-1024}
lines=${GRID:-51}
out=$runs/figures

# make NAME COMMAND ...: one result in each of $formats; measured values are kept, so that they are measured once.
formats="json svg png text"
make() {
    name=$1
    shift
    for format in $formats; do
        file=$out/$name.$format
        if [ -e "$file" ]; then
            continue
        elif [ "$format" = text ]; then
            COLUMNS=80 "$isoloss" "$@" >"$file.new"
            mv "$file.new" "$file"
        else
            "$isoloss" "$@" --format "$format" --out "$file"
        fi
    done
}

# measure NAME COMMAND ...: the same of a result that takes samples, always the same ones, with what train.py is known to
# have done: a short run would leave isoloss in doubt.
measure() {
    name=$1
    shift
    make "$name" "$@" --data "$data" --samples "$samples" --order first --activation relu --mean 0.286 --std 0.353
}

# seeds NAME COMMAND ...: a picture on random directions, and the numbers on two more pairs of them, for claims.py.
seeds() {
    drawn=$1
    shift
    measure "$drawn" "$@"
    for seed in 1 2; do
        (formats=json && measure "$drawn-seed$seed" "$@" --seed $seed)
    done
}

# trained RUN ...: true if all of them were.
trained() {
    for run; do
        if [ ! -e "$runs/$run/manifest.json" ]; then
            echo "figure $figure: $run was not trained" >&2
            return 1
        fi
    done
}

# last RUN: its last checkpoint.
last() {
    ls "$runs/$1"/epoch=*.pt | tail -1
}

# of_vgg COMMAND: the command for each way in which VGG-9 was trained, e.g. sgd-128-wd0.
of_vgg() {
    for optimizer in sgd adam; do
        for decay in 0 0.0005; do
            for batch in 128 1640; do
                way=$optimizer-$batch-wd$decay
                if trained "vgg9-$way"; then "$1" "$way"; fi
            done
        done
    done
}

# Figure 1: the surfaces of ResNet-56 with and without shortcuts, as reliefs.
figure1() {
    for network in resnet56-noshort resnet56; do
        if trained $network; then
            set -- surface "$(last $network)" --model $network --plane random --x=-1:1:"$lines" --y=-1:1:"$lines"
            (formats=json && measure "1-$network" "$@")
            (formats="svg png text" && measure "1-$network" "$@" --relief)
        fi
    done
}

# Figure 2: from the small batch's minimum to the large batch's; norms over training; histograms of the weights.
figure2() {
    for decay in 0 0.0005; do
        small=vgg9-sgd-128-wd$decay
        large=vgg9-sgd-1640-wd$decay
        if trained "$small" "$large"; then
            measure "2-line-wd$decay" line "$(last "$small")" "$(last "$large")" --bn recalibrated \
                --x=-0.5:1.5:"$lines"
            make "2-histogram-wd$decay" weights "$(last "$small")" "$(last "$large")" --histogram
            make "2-norms-128-wd$decay" weights "$runs/$small"
            make "2-norms-1640-wd$decay" weights "$runs/$large"
        fi
    done
}

# Figure 3: slices and surfaces by batch size, weight decay and optimizer, with filter normalization and slices without.
figure3() {
    of_vgg slices
    for optimizer in sgd adam; do
        set --
        for way in 128-wd0 1640-wd0 128-wd0.0005 1640-wd0.0005; do
            set -- "$@" "vgg9-$optimizer-$way"
        done
        if trained "$@"; then surfaces "3-surfaces-$optimizer" "$@"; fi
    done
}
slices() {
    measure "3-slice-$1" line "$runs/vgg9-$1" --along random --seeds 3 --x=-1:1:"$lines"
    # A Gaussian direction is some twenty times as long as the weights.
    measure "3-slice-raw-$1" line "$runs/vgg9-$1" --along random --seeds 3 --norm none --x=-0.1:0.1:"$lines"
}

# surfaces NAME RUN ...: their surfaces around the last checkpoints, on one scale.
surfaces() {
    name=$1
    shift
    for run; do
        shift
        set -- "$@" "$runs/$run" --label "$run"
    done
    seeds "$name" compare "$@" --x=-1:1:"$lines" --y=-1:1:"$lines"
}

# Figure 4: a DenseNet, and ResNet-56 with and without shortcuts. Figure 5: depth. Figure 6: width.
figure4() {
    panels densenet121 resnet56 resnet56-noshort
}
figure5() {
    panels resnet20 resnet56 resnet110 resnet20-noshort resnet56-noshort resnet110-noshort
}
figure6() {
    panels resnet20 wrn20-2 wrn20-4 resnet20-noshort wrn20-2-noshort wrn20-4-noshort
}
panels() {
    if trained "$@"; then
        # On a quarter of the samples and points, because these networks are large and many.
        (samples=$((samples / 4)) lines=$((lines / 2)) && surfaces "$figure-surfaces" "$@")
    fi
}

# Figure 7: how much negative curvature there is, beside the surfaces.
figure7() {
    for network in resnet20 resnet20-noshort resnet56 resnet56-noshort; do
        if trained $network; then
            # On few samples and points, because each point takes some thirty products with the Hessian.
            measure "7-surface-$network" surface "$(last $network)" --model $network --plane random --x=-1:1:25 --y=-1:1:25
            (samples=64 && seeds "7-$network" hessian "$(last $network)" --model $network --plane random --map \
                --tolerance 0.05 --x=-1:1:7 --y=-1:1:7)
        fi
    done
}

# Figure 8: random planes hold little of a path. Figure 9: its own plane, with the drops of the learning rate.
figure8() {
    of_vgg on_a_random_plane
}
on_a_random_plane() {
    make "8-$1" trajectory "$runs/vgg9-$1" --plane random
    for seed in 1 2; do
        (formats=json && make "8-$1-seed$seed" trajectory "$runs/vgg9-$1" --plane random --seed $seed)
    done
}
figure9() {
    of_vgg on_its_own_plane
}
on_its_own_plane() {
    measure "9-$1" surface "$runs/vgg9-$1"
}

[ $# -gt 0 ] || set -- 1 2 3 4 5 6 7 8 9
for figure; do
    case $figure in
    [1-9]) ;;
    *)
        echo "$figure: no such figure; there are 1 to 9" >&2
        exit 2
        ;;
    esac
done
if ! ls "$runs"/*/manifest.json >/dev/null 2>&1; then
    echo "$runs: no run of train.py is there; RUNS names their folder" >&2
    exit 1
fi
mkdir -p "$out"
for figure; do
    "figure$figure"
done
