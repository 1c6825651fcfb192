// Labels by people in report.html: mark a stretch, say what it shows, save labels.csv. It is a manifest of
// `vidfer evaluate --manifest` and `vidfer study agree`; times are seconds from the first frame, as in the tables.
'use strict';

const marks = [];
let begun = null;  // seconds at which an unfinished stretch begins
const field = name => document.getElementById(`label-${name}`);

function showMarks() {
  field('state').textContent = begun === null ? 'M begins a stretch where the cursor is.'
    : `From ${clock(begun)}: go to its end and press M, or U to undo.`;
  field('rows').replaceChildren(...marks.map((mark, number) => {
    const row = document.createElement('tr');
    for (const text of [number + 1, mark.label, clock(mark.start), clock(mark.end), mark.intensity, mark.annotator])
      row.insertCell().textContent = text;
    row.tabIndex = 0;
    row.addEventListener('click', () => seek(mark.start));
    row.addEventListener('keydown', event => { if (event.key === 'Enter') seek(mark.start); });
    return row;
  }));
  field('save').disabled = !marks.length;
}

function mark() {
  if (begun === null) begun = now;
  else if (now !== begun) {
    const [start, end] = [Math.min(begun, now), Math.max(begun, now)];
    marks.push({label: field('choice').value, start, end, intensity: field('intensity').value,
      annotator: field('annotator').value.trim() || 'me'});
    begun = null;
  }
  showMarks();
}

function undo() {
  if (begun !== null) begun = null; else marks.pop();
  showMarks();
}

function choose(step) {
  const box = field('choice');
  box.selectedIndex = (box.selectedIndex + step + box.options.length) % box.options.length;
}

const quoted = value => {  // a spreadsheet takes no name for a formula: see vidfer/spreadsheet.py
  const text = /^'*[=+\-@\t\r]/.test(value) ? `'${value}` : `${value}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

function videoPath() {
  const source = document.querySelector('video source')?.src ?? '';
  return source.startsWith('file:') ? decodeURIComponent(new URL(source).pathname) : data.labels.video;
}

function saveLabels() {
  const {clip, sha256} = data.labels, path = videoPath();
  const lines = ['clip_id,path,sha256,subject_id,split,label,start_seconds,end_seconds,annotator,intensity'];
  marks.forEach((mark, number) => lines.push([`${clip} ${mark.annotator} ${number + 1}`, path, sha256, '', 'test', mark.label,
    mark.start.toFixed(3), mark.end.toFixed(3), mark.annotator, mark.intensity].map(quoted).join(',')));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([lines.join('\n') + '\n'], {type: 'text/csv'}));
  link.download = 'labels.csv';
  link.click();
  field('save').dataset.saved = marks.length;
}

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest('input, select, a, button, summary, video')) return;
  const does = {m: mark, u: undo, s: () => marks.length && saveLabels(), ',': () => choose(-1), '.': () => choose(1)}[event.key.toLowerCase()];
  if (!does) return;
  field('section').open = true;
  does();
  event.preventDefault();
});
window.addEventListener('beforeunload', event => {
  if (marks.length !== +(field('save').dataset.saved ?? 0)) event.preventDefault();
});
field('mark').addEventListener('click', mark);
field('undo').addEventListener('click', undo);
field('save').addEventListener('click', saveLabels);
showMarks();
