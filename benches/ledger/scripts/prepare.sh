#!/bin/sh
# Makes a Python environment with the packages that DuckDB's part needs.
#   prepare.sh FOLDER
set -eu
folder=${1:?"usage: prepare.sh FOLDER"}
here=$(dirname "$0")
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --requirement "$here/requirements.txt"
echo "give the bench --python $folder/bin/python"
