import type { DataFrame, GrafanaTheme2 } from '@grafana/data';
import type { Exemplar, Series } from '../api';
import type { Panel } from '../model';

export interface Mark {
  /** Milliseconds; `end` after `start` is a stretch of time. */
  start: number;
  end: number;
  color: string;
  title: string;
}

/** Everything a drawing may look at. */
export interface Drawing {
  panel: Panel;
  frames: DataFrame[];
  /** The raw answers, for heatmaps. */
  series: Series[];
  exemplars: Exemplar[];
  marks: Mark[];
  look: GrafanaTheme2;
  start: number;
  end: number;
  /** Of the points: the first of them, and how far apart they are, in seconds. */
  firstS: number;
  stepS: number;
  utc: boolean;
  width: number;
  height: number;
  zoom: (from: number, to: number) => void;
}

export type Draw = (into: HTMLElement, drawing: Drawing) => void;
