// Which drawing a kind of panel has.
import { heatmap } from './heatmap';
import { bargauge, gauge, stat } from './single';
import { stateTimeline } from './statetimeline';
import { table } from './table';
import { timeseries } from './timeseries';
import type { Draw } from './types';

export const DRAWINGS: Record<string, Draw> = {
  timeseries,
  graph: timeseries,
  stat,
  singlestat: stat,
  gauge,
  bargauge,
  heatmap,
  table,
  'state-timeline': stateTimeline,
};
